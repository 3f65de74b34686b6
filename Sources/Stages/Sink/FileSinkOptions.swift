/// How ``FileSink`` writes; spelled `file:PATH,layout=each|one,bytes=all|payload,…`.
public struct FileSinkOptions: Equatable, Sendable {
  /// `each`: a directory that exists, or a template with `%c` (the connection's serial number),
  /// `%a` and `%p` (the peer's address and port), `%t` (the receiving thread), `%s` (when the run
  /// started, as 20261129T132401Z); `%%` is a percent sign. `one`: a file, with `%t` where there
  /// are several threads. With rotation `%n` is the number of the file, from 000001 on; a
  /// directory's files have it at the end of their names.
  public var path: String
  public var layout: Layout = .each
  public var bytes: SinkBytes = .all
  /// Replaces existing files instead of refusing them.
  public var overwrite = false
  /// The most bytes of memory for records that span leases (`layout=one`).
  public var carry = 1 << 30
  public var sync: Sync = .close
  /// What was written for so many nanoseconds is fsynced while more comes, too, and each fsync is
  /// told of (``SyncedFile``); 0 is never. A crash of the machine costs no more than that and what
  /// the fsync takes.
  public var syncEvery: UInt64 = 0
  /// A file ends with the record that brings it to this many bytes, so that it is longer by less
  /// than a record (a lease, in a stream without records); 0 is never.
  public var rotate = 0
  /// A file ends with the last record of so many nanoseconds after its first one; 0 is never. The
  /// record after it or the end of its connection closes the file.
  public var rotateEvery: UInt64 = 0

  /// Writes past the page cache (O_DIRECT), in blocks of `block` bytes that leases are copied into.
  /// Where a file system refuses that, the blocks are written through the cache.
  ///
  /// Memory: a block for each connection (for all, with `one`) and up to 16 being written, which
  /// together may not exceed `carry`.
  public var direct = false
  /// A multiple of 4096.
  public var block = 1 << 20

  var rotates: Bool { rotate > 0 || rotateEvery > 0 }

  public init(path: String) { self.path = path }

  /// One file per connection, or one for all with whole records in the order of their ends.
  public enum Layout: String, Codable, Sendable, CaseIterable { case each, one }

  /// When a file is fsynced: at the end of each connection and of the file, or not at all. With
  /// `rename` it is called PATH.part until it has ended and was fsynced: what is called PATH is
  /// whole. (The directory is not fsynced: a power cut may leave the first name.)
  public enum Sync: String, Codable, Sendable, CaseIterable { case close, none, rename }
}

/// The sizes of a ``FileSink``'s pools, all allocated at the start.
public struct FileSinkLimits: Equatable, Sendable {
  /// Requests queued or in the kernel, fsync included. As many completions may be under way.
  public var operations: Int
  /// Runs of bytes that one write gathers.
  public var vectors: Int
  /// Leases held for a write.
  public var leases: Int

  public init(operations: Int, vectors: Int, leases: Int) {
    self.operations = operations
    self.vectors = vectors
    self.leases = leases
  }

  /// Per connection one write that gathers and one in the kernel, up to 512: a disk's queue is
  /// rarely deeper than a few hundred, and the area's buffers run out before that.
  /// 32 runs: a 64 KiB buffer holds that many records of 2 KiB; shorter ones take another write.
  /// 4096 leases: 8 MiB of area in leases of 2 KiB.
  ///
  /// Memory: operations x (96 + vectors x 20) + leases x 32 bytes, less than 600 KiB.
  public static func standard(maxConnections: Int) -> FileSinkLimits {
    FileSinkLimits(
      operations: min(max(2 * maxConnections, 64), 512), vectors: 32, leases: 4096)
  }
}
