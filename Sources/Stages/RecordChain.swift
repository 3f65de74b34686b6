public import RingCore

/// parse, checksum and sink as one stage: finds the records in each connection's stream, looks at
/// their payload, hands their pieces on.
///
/// Everything per connection is allocated and touched by `init`. What stands between a lease and
/// the sink is decided when this is compiled: a chain of ``RawFramer`` and ``NoChecksum`` is two
/// additions.
///
/// - Cost: per lease and piece what its parts say; per piece about ten instructions of its own.
@frozen @safe
public struct RecordChain<
  Parse: Framer, Check: Checksum & ~Copyable, Target: Sink & ~Copyable
>: Stage, ~Copyable {
  public let framer: Parse
  public var checksum: Check
  public var sink: Target
  public let maxConnections: Int
  /// Over all connections since the start.
  @usableFromInline var all: ChainCounts
  @usableFromInline let slots: UnsafeMutablePointer<ChainSlot<Parse.State>>

  /// Memory: `maxConnections` times 56 bytes and the framer's state.
  @inlinable
  public init(
    framer: Parse, checksum: consuming Check, sink: consuming Target, maxConnections: Int
  ) {
    invariant(maxConnections > 0, "a chain serves at least one connection")
    self.framer = framer
    self.checksum = checksum
    self.sink = sink
    self.maxConnections = maxConnections
    all = ChainCounts()
    unsafe slots = UnsafeMutablePointer.allocate(capacity: maxConnections)
    unsafe slots.initialize(repeating: ChainSlot(framer.start()), count: maxConnections)
  }

  @inlinable
  deinit { unsafe slots.deallocate() }

  @inlinable @inline(__always)
  public mutating func take(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    // `opened` checked the slot: leases come of opened connections only.
    let slot = unsafe slots + Int(lease.connection)
    let area = batch.area
    // 32 bits, and the test at the end (a lease is never empty): the compiler then sees that a
    // framer which takes all there is needs no second turn.
    let end = lease.length
    var cursor: UInt32 = 0
    repeat {
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
        return sink.finish(lease, in: &batch)
      }
      if Check.readsPayload {
        let flaw = area.withBytes(of: lease) {
          let start = Int(cursor) &+ Int(piece.lead)
          return unsafe checksum.take(
            $0, payload: start..<start &+ Int(piece.payload), of: piece,
            slot: Int(lease.connection), expected: framer.expectation(slot.pointee.framing))
        }
        if let flaw { unsafe batch.report(slot.pointee.fault(flaw)) }
      }
      sink.take(piece, of: lease, at: cursor, in: &batch)
      unsafe slot.pointee.add(piece)
      all.add(piece)
      cursor &+= piece.count
    } while cursor < end
    return sink.finish(lease, in: &batch)
  }

  @inlinable
  public mutating func opened(_ connection: Connection, in batch: inout Batch) {
    let slot = Int(connection.slot)
    invariant(slot < maxConnections, "a connection's slot is below maxConnections")
    unsafe slots[slot] = ChainSlot(framer.start())
    unsafe slots[slot].serial = connection.serial
    checksum.opened(slot: slot)
    sink.opened(connection, in: &batch)
  }

  /// Tells what is wrong with the end of the stream, unless this side chose it (``StreamEnd``
  /// `refused` and `stopped`). A record that the stream's end completes counts when the peer
  /// finished; after a failure it is a truncated one.
  @inlinable
  public mutating func closed(
    _ connection: Connection, _ end: StreamEnd, in batch: inout Batch
  ) {
    let slot = unsafe slots + Int(connection.slot)
    switch end {
    case .finished, .failed, .misplaced, .unsplit:
      switch unsafe framer.end(slot.pointee.framing) {
      case .boundary: break
      case .recordEnds where end == .finished:
        unsafe slot.pointee.endRecord()
        all.records &+= 1
        sink.endRecord(of: connection, in: &batch)
      case .recordEnds:
        let seen = unsafe slot.pointee.counts.bytes &- slot.pointee.recordStart
        unsafe batch.report(
          slot.pointee.fault(Flaw(.truncated, expected: seen &+ 1, found: seen)))
      case .truncated(let expected, let found):
        unsafe batch.report(
          slot.pointee.fault(Flaw(.truncated, expected: expected, found: found)))
      }
      if let flaw = checksum.closed(slot: Int(connection.slot)) {
        unsafe batch.report(slot.pointee.streamFault(flaw))
      }
    case .refused, .stopped: break
    }
    sink.closed(connection, end, in: &batch)
  }

  @inlinable
  public mutating func endBatch(in batch: inout Batch) { sink.endBatch(in: &batch) }

  @inlinable
  public mutating func completed(_ index: UInt32, result: Int32, in batch: inout Batch) {
    sink.completed(index, result: result, in: &batch)
  }

  @inlinable public var pending: Int { sink.pending }

  @inlinable public var readsPayload: Bool {
    framer.readsPayload || Check.readsPayload || sink.readsPayload
  }

  @inlinable public var totals: StageTotals {
    var totals = StageTotals()
    totals.records = all.records
    totals.payloadBytes = all.payloadBytes
    let written = sink.counters
    totals.sinkBytes = written.bytes
    totals.sinkCopiedBytes = written.copiedBytes
    return totals
  }

  /// What the sink could not do, with what mends it.
  public func failures() -> [String] {
    sink.failures.map { failure in
      guard let remedy = failure.remedy else { return failure.description }
      return "\(failure); \(remedy)"
    }
  }

  /// Until the slot's next connection opens.
  @inlinable
  public func summary(of connection: Connection) -> StreamSummary {
    StreamSummary(
      records: counts(slot: connection.slot).records,
      digest: checksum.digest(slot: Int(connection.slot)))
  }

  /// What the slot's connection has brought so far; after its end until the next one opens.
  @inlinable
  public func counts(slot: UInt32) -> ChainCounts {
    invariant(Int(slot) < maxConnections, "a connection's slot is below maxConnections")
    return unsafe slots[Int(slot)].counts
  }
}
