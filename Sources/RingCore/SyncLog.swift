/// How much of a file is known to be on the disk.
@frozen
public struct SyncedFile: BitwiseCopyable, Sendable, Equatable {
  /// The serial number of the connection whose bytes it has; 0 where it has all connections'.
  public var connection: UInt64
  /// Which receiving thread writes it, and which of two sinks (0 or 1).
  public var thread: UInt32
  public var sink: UInt32
  /// Which file of its connection it is, from 1 on.
  public var file: UInt64
  /// Bytes from its start that fsync(2) has answered for.
  public var bytes: UInt64

  public init(connection: UInt64, thread: UInt32, sink: UInt32, file: UInt64, bytes: UInt64) {
    self.connection = connection
    self.thread = thread
    self.sink = sink
    self.file = file
    self.bytes = bytes
  }
}

/// What became safe in a batch, up to a fixed number; the rest is left to the next fsync to tell.
///
/// Memory: 32 B for each of ``capacity``.
@frozen @safe
public struct SyncLog: ~Copyable {
  @usableFromInline let memory: UnsafeMutablePointer<SyncedFile>
  @usableFromInline var count = 0

  @usableFromInline static var capacity: Int { 512 }

  init() { unsafe memory = .allocate(capacity: SyncLog.capacity) }

  deinit { unsafe memory.deallocate() }

  public mutating func append(_ entry: SyncedFile) {
    guard count < SyncLog.capacity else { return }
    unsafe (memory + count).initialize(to: entry)
    count += 1
  }

  @inlinable @inline(__always) package var isEmpty: Bool { count == 0 }

  /// Hands the entries out, oldest first, and forgets them.
  @usableFromInline
  package mutating func drain(_ body: (SyncedFile) -> Void) {
    for index in 0..<count { body(unsafe memory[index]) }
    count = 0
  }
}
