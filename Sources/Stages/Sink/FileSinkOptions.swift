/// How ``FileSink`` writes; spelled `file:PATH,layout=each|one,bytes=all|payload,…`.
public struct FileSinkOptions: Equatable, Sendable {
  /// `each`: a directory that exists, or a template with `%c` (the connection's serial number),
  /// `%a` and `%p` (the peer's address and port), `%t` (the receiving thread); `%%` is a percent
  /// sign. `one`: a file, with `%t` where there are several threads.
  public var path: String
  public var layout: Layout = .each
  public var bytes: SinkBytes = .all
  /// Replaces existing files instead of refusing them.
  public var overwrite = false
  /// The most bytes of memory for records that span leases (`layout=one`).
  public var carry = 1 << 30
  public var sync: Sync = .close

  public init(path: String) { self.path = path }

  /// One file per connection, or one for all with whole records in the order of their ends.
  public enum Layout: String, Codable, Sendable, CaseIterable { case each, one }

  /// When a file is fsynced: at the end of each connection, or not at all.
  public enum Sync: String, Codable, Sendable, CaseIterable { case close, none }
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
