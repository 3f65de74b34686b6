public import RingCore

/// Hands everything to two sinks, each of which holds leases on its own: a lease goes back when
/// both are through with it.
///
/// The slower one sets the pace, since its leases stay out of the area. Half of the leases that may
/// be held are for each. Where one refuses a connection, it is refused for both.
///
/// The kinds of sink are chosen when it is made, not when it is compiled, so that a chain has one
/// loop for all pairs.
///
/// - Cost: what both sinks cost, and for each piece and lease a switch over what they are.
public struct TeeSink: Sink, ~Copyable {
  /// Every kind of sink that may be one of the two.
  public typealias Branch = EitherSink<
    FileSink,
    EitherSink<ForwardSink, EitherSink<SharedSink, EitherSink<StdoutSink, MemfdSink>>>
  >

  var first: Branch
  var second: Branch

  /// The index of a request of the second sink has this bit.
  static var mark: UInt32 { 1 << 31 }

  public init(_ first: consuming Branch, _ second: consuming Branch) {
    self.first = consume first
    self.second = consume second
  }

  public mutating func take(
    _ piece: Piece, of lease: borrowing Lease, at start: UInt32, in batch: inout Batch
  ) {
    batch.enterBranch(mark: 0)
    first.take(piece, of: lease, at: start, in: &batch)
    batch.enterBranch(mark: TeeSink.mark)
    second.take(piece, of: lease, at: start, in: &batch)
    batch.leaveBranches()
  }

  public mutating func finish(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    let claim = lease.secondClaim()
    batch.enterBranch(mark: 0)
    let one = first.finish(lease, in: &batch)
    batch.enterBranch(mark: TeeSink.mark)
    let two = second.finish(claim, in: &batch)
    batch.leaveBranches()
    return batch.join(one, two)
  }

  public mutating func endRecord(of connection: Connection, in batch: inout Batch) {
    batch.enterBranch(mark: 0)
    first.endRecord(of: connection, in: &batch)
    batch.enterBranch(mark: TeeSink.mark)
    second.endRecord(of: connection, in: &batch)
    batch.leaveBranches()
  }

  public mutating func opened(_ connection: Connection, in batch: inout Batch) {
    batch.enterBranch(mark: 0)
    first.opened(connection, in: &batch)
    batch.enterBranch(mark: TeeSink.mark)
    second.opened(connection, in: &batch)
    batch.leaveBranches()
  }

  public mutating func closed(
    _ connection: Connection, _ end: StreamEnd, in batch: inout Batch
  ) {
    batch.enterBranch(mark: 0)
    first.closed(connection, end, in: &batch)
    batch.enterBranch(mark: TeeSink.mark)
    second.closed(connection, end, in: &batch)
    batch.leaveBranches()
  }

  public mutating func endBatch(in batch: inout Batch) {
    batch.enterBranch(mark: 0)
    first.endBatch(in: &batch)
    batch.enterBranch(mark: TeeSink.mark)
    second.endBatch(in: &batch)
    batch.leaveBranches()
  }

  public mutating func completed(_ index: UInt32, result: Int32, in batch: inout Batch) {
    completed(index, result: result, flags: 0, in: &batch)
  }

  public mutating func completed(
    _ index: UInt32, result: Int32, flags: UInt32, in batch: inout Batch
  ) {
    batch.enterBranch(mark: index & TeeSink.mark)
    if index & TeeSink.mark == 0 {
      first.completed(index, result: result, flags: flags, in: &batch)
    } else {
      second.completed(index & ~TeeSink.mark, result: result, flags: flags, in: &batch)
    }
    batch.leaveBranches()
  }

  public mutating func stop() {
    first.stop()
    second.stop()
  }

  public mutating func hasWork() -> Bool {
    let hasFirst = first.hasWork()
    return second.hasWork() || hasFirst
  }

  public var pending: Int { first.pending + second.pending }
  public var readsPayload: Bool { first.readsPayload || second.readsPayload }
  /// The sums of both: bytes that both wrote count twice.
  public var counters: SinkCounters { first.counters + second.counters }
  public var failures: [SinkFailure] { first.failures + second.failures }
}

extension SinkCounters {
  static func + (one: SinkCounters, two: SinkCounters) -> SinkCounters {
    var sum = one
    sum.bytes += two.bytes
    sum.copiedBytes += two.copiedBytes
    sum.writes += two.writes
    sum.syncWrites += two.syncWrites
    sum.lostRecords += two.lostRecords
    sum.lostBytes += two.lostBytes
    sum.refusedBytes += two.refusedBytes
    sum.stageDroppedBytes += two.stageDroppedBytes
    sum.zeroCopyBytes += two.zeroCopyBytes
    sum.kernelCopiedBytes += two.kernelCopiedBytes
    sum.fullTimes += two.fullTimes
    sum.spilledBytes += two.spilledBytes
    sum.replayedBytes += two.replayedBytes
    sum.spillWaits += two.spillWaits
    sum.droppedRecords += two.droppedRecords
    sum.droppedBytes += two.droppedBytes
    sum.waits += two.waits
    sum.files += two.files
    sum.fsyncs += two.fsyncs
    sum.indirectFiles += two.indirectFiles
    sum.lateRotations += two.lateRotations
    sum.failures += two.failures
    return sum
  }
}
