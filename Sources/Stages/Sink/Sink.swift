public import RingCore

/// Where records go. A sink sees every piece of every record in the order of its connection's
/// stream, and answers for each lease when its pieces are through.
public protocol Sink: ~Copyable {
  /// Whether ``take(_:of:at:in:)`` may refuse the connection: the rest of its lease is then not
  /// shown. Where it may not, the chain has no test for it.
  static var mayRefuse: Bool { get }

  /// One piece of a record; `at` is where it starts in the lease, in bytes. A sink that only
  /// counts does nothing here.
  mutating func take(
    _ piece: Piece, of lease: borrowing Lease, at start: UInt32, in batch: inout Batch)

  /// All pieces of the lease were taken: give it back or keep it.
  mutating func finish(_ lease: consuming Lease, in batch: inout Batch) -> Verdict

  /// The record whose pieces were taken so far is complete because its stream is: no piece ends
  /// it. Comes before ``closed(_:_:in:)``, for the last line of a text that lacks its newline.
  mutating func endRecord(of connection: Connection, in batch: inout Batch)

  mutating func opened(_ connection: Connection, in batch: inout Batch)
  mutating func closed(_ connection: Connection, _ end: StreamEnd, in batch: inout Batch)
  /// Never comes between the pieces of a lease and its ``finish(_:in:)``.
  mutating func endBatch(in batch: inout Batch)
  mutating func completed(_ index: UInt32, result: Int32, in batch: inout Batch)
  /// The same with the completion's flags; see ``Stage``.
  mutating func completed(_ index: UInt32, result: Int32, flags: UInt32, in batch: inout Batch)
  var pending: Int { get }
  /// Nothing comes after this. Ends what the sink started.
  mutating func stop()
  /// Whether something came back from another thread, to look at before sleeping.
  mutating func hasWork() -> Bool
  /// Whether records go on to another thread, which tells of the ends of streams.
  static var isRemote: Bool { get }
  /// Whether the sink reads payload with the CPU.
  var readsPayload: Bool { get }

  /// What was written so far; each count only grows.
  var counters: SinkCounters { get }
  /// What could not be written, oldest first; see ``SinkFailure``. Empty means that everything
  /// taken and not ``pending`` is where it belongs.
  var failures: [SinkFailure] { get }
  /// What went wrong in stages of the user's before the sink, as sentences.
  func stageFailures() -> [String]
}

extension Sink where Self: ~Copyable {
  @inlinable @inline(__always) public static var mayRefuse: Bool { false }
  /// A sink that hands pieces on as they come has nothing left to do.
  @inlinable
  public mutating func endRecord(of connection: Connection, in batch: inout Batch) {}
  @inlinable
  public mutating func completed(
    _ index: UInt32, result: Int32, flags: UInt32, in batch: inout Batch
  ) {
    completed(index, result: result, in: &batch)
  }
  @inlinable public mutating func stop() {}
  @inlinable public mutating func hasWork() -> Bool { false }
  @inlinable @inline(__always) public static var isRemote: Bool { false }
  @inlinable public var counters: SinkCounters { SinkCounters() }
  @inlinable public var failures: [SinkFailure] { [] }
  public func stageFailures() -> [String] { [] }
}
