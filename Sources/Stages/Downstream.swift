public import RingCore

/// What comes after parse, whether on this thread or behind a queue to another: it takes every
/// piece of every record in the order of its connection's stream, then answers for the lease.
///
/// A ``Sink`` is the end of it; ``Checked`` puts a checksum before a sink.
public protocol Downstream: ~Copyable {
  /// Whether a piece may have its connection refused, after which no more of its lease is shown.
  static var mayRefuse: Bool { get }

  /// One piece of a record, which starts `start` bytes into the lease; `expected` is what the
  /// sender said about the record. With `measured` the batch's meter is told what each part took.
  /// Returns what is wrong with the record that this piece ends.
  mutating func take(
    _ piece: Piece, of lease: borrowing Lease, at start: UInt32, expected: Expectation,
    measured: Bool, in batch: inout Batch
  ) -> Flaw?

  /// All pieces of the lease were taken: give it back or keep it.
  mutating func finish(_ lease: consuming Lease, in batch: inout Batch) -> Verdict

  /// The record at hand is complete because its stream is. Comes before ``closed(_:_:in:)``.
  mutating func endRecord(of connection: Connection, in batch: inout Batch)

  mutating func opened(_ connection: Connection, in batch: inout Batch)
  /// Returns what is wrong with the stream as a whole, unless this side chose its end.
  mutating func closed(
    _ connection: Connection, _ end: StreamEnd, in batch: inout Batch
  ) -> Flaw?
  /// Never comes between the pieces of a lease and its ``finish(_:in:)``.
  mutating func endBatch(in batch: inout Batch)
  mutating func completed(_ index: UInt32, result: Int32, flags: UInt32, in batch: inout Batch)

  mutating func stop()
  /// Whether something came back from another thread, to look at before sleeping.
  mutating func hasWork() -> Bool
  static var isRemote: Bool { get }

  var pending: Int { get }
  var readsPayload: Bool { get }
  var counters: SinkCounters { get }
  var failures: [SinkFailure] { get }
  func stageFailures() -> [String]
  /// The digest of the payload since the slot was opened, where one is kept.
  func digest(slot: Int) -> UInt64?
}

/// A checksum, then a sink.
@frozen
public struct Checked<Check: Checksum & ~Copyable, Target: Sink & ~Copyable>: Downstream, ~Copyable
{
  public var checksum: Check
  public var sink: Target

  @inlinable
  public init(_ checksum: consuming Check, _ sink: consuming Target) {
    self.checksum = checksum
    self.sink = sink
  }

  @inlinable @inline(__always) public static var mayRefuse: Bool { Target.mayRefuse }

  @inlinable @inline(__always)
  public mutating func take(
    _ piece: Piece, of lease: borrowing Lease, at start: UInt32, expected: Expectation,
    measured: Bool, in batch: inout Batch
  ) -> Flaw? {
    var flaw: Flaw?
    if Check.readsPayload {
      flaw = batch.area.withBytes(of: lease) {
        let first = Int(start) &+ Int(piece.lead)
        return checksum.take(
          $0, payload: first..<first &+ Int(piece.payload), of: piece,
          slot: Int(lease.connection), expected: expected)
      }
      if measured { batch.meter.lap(.checksum) }
    }
    sink.take(piece, of: lease, at: start, in: &batch)
    if measured { batch.meter.lap(.sink) }
    return flaw
  }

  @inlinable @inline(__always)
  public mutating func finish(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    sink.finish(lease, in: &batch)
  }

  @inlinable
  public mutating func endRecord(of connection: Connection, in batch: inout Batch) {
    sink.endRecord(of: connection, in: &batch)
  }

  @inlinable
  public mutating func opened(_ connection: Connection, in batch: inout Batch) {
    checksum.opened(slot: Int(connection.slot))
    sink.opened(connection, in: &batch)
  }

  @inlinable
  public mutating func closed(
    _ connection: Connection, _ end: StreamEnd, in batch: inout Batch
  ) -> Flaw? {
    let flaw = end.isTheirs ? checksum.closed(slot: Int(connection.slot)) : nil
    if let digest = checksum.digest(slot: Int(connection.slot)) { batch.streamDigest = digest }
    sink.closed(connection, end, in: &batch)
    return flaw
  }

  @inlinable @inline(__always)
  public mutating func endBatch(in batch: inout Batch) { sink.endBatch(in: &batch) }

  @inlinable
  public mutating func completed(
    _ index: UInt32, result: Int32, flags: UInt32, in batch: inout Batch
  ) {
    sink.completed(index, result: result, flags: flags, in: &batch)
  }

  @inlinable public mutating func stop() { sink.stop() }
  @inlinable public mutating func hasWork() -> Bool { sink.hasWork() }
  @inlinable @inline(__always) public static var isRemote: Bool { Target.isRemote }
  @inlinable public var pending: Int { sink.pending }
  @inlinable public var readsPayload: Bool { Check.readsPayload || sink.readsPayload }
  @inlinable public var counters: SinkCounters { sink.counters }
  public var failures: [SinkFailure] { sink.failures }
  public func stageFailures() -> [String] { sink.stageFailures() }
  @inlinable public func digest(slot: Int) -> UInt64? { checksum.digest(slot: slot) }
}
