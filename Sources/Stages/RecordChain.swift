public import RingCore

/// parse and what comes after it as one stage: finds the records in each connection's stream and
/// hands their pieces on.
///
/// Everything per connection is allocated and touched by `init`. What stands between a lease and
/// the sink is decided when this is compiled: a chain of ``RawFramer``, ``NoChecksum`` and
/// ``NullSink`` is three additions.
///
/// - Cost: what its parts say. For a lease of one piece, a stage that does nothing and ``NullSink``
///   29.2 instructions in all, with the loop that makes the leases (tools/gates/chain).
@frozen @safe
public struct RecordChain<Parse: Framer, Rest: Downstream & ~Copyable>: Stage, ~Copyable {
  public let framer: Parse
  public var rest: Rest
  public let maxConnections: Int
  /// Over all connections since the start.
  @usableFromInline var all: ChainCounts
  /// Bytes of leases that were not shown, since their connection was refused before.
  @usableFromInline var unshown: UInt64 = 0
  @usableFromInline let slots: UnsafeMutablePointer<ChainSlot<Parse.State>>

  /// Memory: `maxConnections` times 56 bytes and the framer's state.
  @inlinable
  public init(framer: Parse, rest: consuming Rest, maxConnections: Int) {
    invariant(maxConnections > 0, "a chain serves at least one connection")
    self.framer = framer
    self.rest = rest
    self.maxConnections = maxConnections
    all = ChainCounts()
    unsafe slots = UnsafeMutablePointer.allocate(capacity: maxConnections)
    unsafe slots.initialize(repeating: ChainSlot(framer.start()), count: maxConnections)
  }

  /// parse, checksum and sink.
  @inlinable
  public init<Check: Checksum & ~Copyable, Target: Sink & ~Copyable>(
    framer: Parse, checksum: consuming Check, sink: consuming Target, maxConnections: Int
  ) where Rest == Checked<Check, Target> {
    self.init(framer: framer, rest: Checked(checksum, sink), maxConnections: maxConnections)
  }

  @inlinable
  deinit { unsafe slots.deallocate() }

  @inlinable @inline(__always)
  public mutating func take(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    if batch.meter.isOn { return takeMeasured(lease, in: &batch) }
    return take(lease, measured: false, in: &batch)
  }

  /// The same with a look at the clock after every part. Never inlined: one batch of 64 comes here.
  @inlinable @inline(never)
  mutating func takeMeasured(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    batch.meter.start()
    let verdict = take(lease, measured: true, in: &batch)
    batch.meter.lap(.sink)
    return verdict
  }

  @inlinable @inline(__always)
  mutating func take(
    _ lease: consuming Lease, measured: Bool, in batch: inout Batch
  ) -> Verdict {
    // `opened` checked the slot: leases come of opened connections only.
    let slot = unsafe slots + Int(lease.connection)
    let area = batch.area
    // 32 bits, and the test at the end (a lease is never empty): the compiler then sees that a
    // framer which takes all there is needs no second turn.
    let end = lease.length
    var cursor: UInt32 = 0
    while true {
      let step = area.withBytes(of: lease) {
        unsafe framer.next(&slot.pointee.framing, $0, at: Int(cursor))
      }
      let piece: Piece
      switch step {
      case .piece(let found): piece = found
      case .flawed(let found, let flaw):
        piece = found
        unsafe batch.report(slot.pointee.fault(flaw))
      case .fault(let flaw):
        unsafe batch.refuse(slot.pointee.fault(flaw))
        unshown &+= UInt64(end &- cursor)
        return rest.finish(lease, in: &batch)
      }
      if measured { batch.meter.lap(.parse) }
      let flaw = unsafe rest.take(
        piece, of: lease, at: cursor, expected: framer.expectation(slot.pointee.framing),
        measured: measured, in: &batch)
      if let flaw { unsafe batch.report(slot.pointee.fault(flaw)) }
      unsafe slot.pointee.add(piece)
      all.add(piece)
      cursor &+= piece.count
      if cursor >= end { break }
      if Rest.mayRefuse && batch.refused {
        unshown &+= UInt64(end &- cursor)
        break
      }
    }
    return rest.finish(lease, in: &batch)
  }

  @inlinable
  public mutating func opened(_ connection: Connection, in batch: inout Batch) {
    let slot = Int(connection.slot)
    invariant(slot < maxConnections, "a connection's slot is below maxConnections")
    unsafe slots[slot] = ChainSlot(framer.start())
    unsafe slots[slot].serial = connection.serial
    rest.opened(connection, in: &batch)
  }

  /// Tells what is wrong with the end of the stream, unless this side chose it (``StreamEnd``
  /// `refused` and `stopped`). A record that the stream's end completes counts when the peer
  /// finished; after a failure it is a truncated one.
  @inlinable
  public mutating func closed(
    _ connection: Connection, _ end: StreamEnd, in batch: inout Batch
  ) {
    let slot = unsafe slots + Int(connection.slot)
    if end.isTheirs {
      switch unsafe framer.end(slot.pointee.framing) {
      case .boundary: break
      case .recordEnds where end == .finished:
        unsafe slot.pointee.endRecord()
        all.records &+= 1
        rest.endRecord(of: connection, in: &batch)
      case .recordEnds:
        let seen = unsafe slot.pointee.counts.bytes &- slot.pointee.recordStart
        unsafe batch.report(
          slot.pointee.fault(Flaw(.truncated, expected: seen &+ 1, found: seen)))
      case .truncated(let expected, let found):
        unsafe batch.report(
          slot.pointee.fault(Flaw(.truncated, expected: expected, found: found)))
      }
    }
    if let flaw = rest.closed(connection, end, in: &batch) {
      unsafe batch.report(slot.pointee.streamFault(flaw))
    }
  }

  @inlinable
  public mutating func endBatch(in batch: inout Batch) {
    if batch.meter.isOn { batch.meter.start() }
    rest.endBatch(in: &batch)
    if batch.meter.isOn { batch.meter.lap(.sink) }
  }

  @inlinable
  public mutating func completed(
    _ index: UInt32, result: Int32, flags: UInt32, in batch: inout Batch
  ) {
    rest.completed(index, result: result, flags: flags, in: &batch)
  }

  @inlinable public mutating func stop() { rest.stop() }
  @inlinable @inline(__always) public static var endsElsewhere: Bool { Rest.isRemote }
  @inlinable public var pending: Int { rest.pending }

  @inlinable public var readsPayload: Bool {
    framer.readsPayload || rest.readsPayload
  }

  @inlinable public var totals: StageTotals {
    var totals = StageTotals()
    totals.records = all.records
    totals.payloadBytes = all.payloadBytes
    let written = rest.counters
    totals.sinkBytes = written.bytes
    totals.sinkCopiedBytes = written.copiedBytes
    totals.sinkZeroCopyBytes = written.zeroCopyBytes
    totals.sinkKernelCopiedBytes = written.kernelCopiedBytes
    totals.sinkLostRecords = written.lostRecords
    totals.sinkLostBytes = written.lostBytes
    totals.refusedBytes = written.refusedBytes &+ unshown
    totals.stageDroppedBytes = written.stageDroppedBytes
    totals.sinkWaits = written.waits
    totals.sinkFullTimes = written.fullTimes
    totals.sinkSpilledBytes = written.spilledBytes
    totals.sinkReplayedBytes = written.replayedBytes
    totals.sinkSpillWaits = written.spillWaits
    totals.sinkDroppedRecords = written.droppedRecords
    totals.sinkDroppedBytes = written.droppedBytes
    return totals
  }

  /// What the sink could not do, with what mends it, and what stages say of themselves.
  public func failures() -> [String] {
    rest.failures.map { failure in
      guard let remedy = failure.remedy else { return failure.description }
      return "\(failure); \(remedy)"
    } + rest.stageFailures()
  }

  /// Until the slot's next connection opens.
  @inlinable
  public func summary(of connection: Connection) -> StreamSummary {
    StreamSummary(
      records: counts(slot: connection.slot).records,
      digest: rest.digest(slot: Int(connection.slot)))
  }

  /// What the slot's connection has brought so far; after its end until the next one opens.
  @inlinable
  public func counts(slot: UInt32) -> ChainCounts {
    invariant(Int(slot) < maxConnections, "a connection's slot is below maxConnections")
    return unsafe slots[Int(slot)].counts
  }
}
