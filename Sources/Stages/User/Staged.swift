public import RingCore

/// A user's stage before a sink.
///
/// - Cost: 5.5 instructions for a lease of one piece with the least that a stage can do
///   (tools/gates/chain: three against one, half of the difference); nothing for ``NoStage``.
///   Memory: `maxConnections` times 40 bytes and the stage's state.
@frozen @safe
public struct Staged<S: RecordStage & ~Copyable, Next: Sink & ~Copyable>: Sink, ~Copyable {
  public var stage: S
  public var next: Next
  /// Records that the stage let go of.
  @usableFromInline var dropped: UInt64 = 0
  /// Bytes of them, and bytes over which it refused a connection.
  @usableFromInline var droppedBytes: UInt64 = 0
  @usableFromInline var refusedBytes: UInt64 = 0
  @usableFromInline let slots: UnsafeMutablePointer<StagedSlot<S.State>>
  @usableFromInline let slotCount: Int
  @usableFromInline let number: UInt64

  public init(_ stage: consuming S, _ next: consuming Next, maxConnections: Int) {
    self.stage = stage
    self.next = next
    slotCount = S.self == NoStage.self ? 0 : maxConnections
    unsafe slots = UnsafeMutablePointer.allocate(capacity: max(slotCount, 1))
    number = S.self == NoStage.self ? 0 : StageCatalog.number(of: S.self)
  }

  deinit { unsafe slots.deallocate() }

  /// Records that the stage let go of.
  @inlinable public var droppedRecords: UInt64 { dropped }

  @inlinable @inline(__always) static var isPresent: Bool { S.self != NoStage.self }
  @inlinable @inline(__always)
  public static var mayRefuse: Bool { isPresent || Next.mayRefuse }

  @inlinable @inline(__always)
  public mutating func take(
    _ piece: Piece, of lease: borrowing Lease, at start: UInt32, in batch: inout Batch
  ) {
    guard Self.isPresent else {
      next.take(piece, of: lease, at: start, in: &batch)
      return
    }
    // `opened` checked the slot.
    let slot = unsafe slots + Int(lease.connection)
    let answer: StageAnswer
    do throws(StageFault) {
      answer = try ask(piece, lease, start, &batch)
    } catch {
      unsafe batch.refuse(slot.pointee.fault(number, error.code))
      refusedBytes &+= UInt64(piece.count)
      return
    }
    if batch.meter.isOn { batch.meter.lap(.stage) }
    switch answer {
    case .pass: break
    case .flawed(let code): unsafe batch.report(slot.pointee.fault(number, code))
    case .drop: break
    }
    // Without records each piece is decided on its own; with records the first one decides.
    let isRecord = unsafe piece.first || slot.pointee.isInside
    if !isRecord || piece.first { unsafe slot.pointee.isDropped = answer == .drop }
    let isDropped = unsafe slot.pointee.isDropped
    if isDropped && piece.last { dropped &+= 1 }
    unsafe slot.pointee.add(piece)
    if isDropped {
      droppedBytes &+= UInt64(piece.count)
    } else {
      next.take(piece, of: lease, at: start, in: &batch)
    }
  }

  @inlinable @inline(__always)
  mutating func ask(
    _ piece: Piece, _ lease: borrowing Lease, _ start: UInt32, _ batch: inout Batch
  ) throws(StageFault) -> StageAnswer {
    let slot = unsafe slots + Int(lease.connection)
    guard S.readsPayload else {
      return try unsafe stage.take(
        piece, payload: RawSpan(), state: &slot.pointee.state, in: &batch)
    }
    // The chain made the piece from bytes of this lease, which lies inside the area.
    let skipped = Int(start) &+ Int(piece.lead)
    let address = unsafe UnsafeRawPointer(batch.area.address(of: lease.offset)) + skipped
    let payload = unsafe RawSpan(_unsafeStart: address, byteCount: Int(piece.payload))
    return try unsafe stage.take(piece, payload: payload, state: &slot.pointee.state, in: &batch)
  }

  @inlinable @inline(__always)
  public mutating func finish(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    guard Self.isPresent && S.keepsLeases else { return next.finish(lease, in: &batch) }
    let second = lease.secondClaim()
    let own = stage.finish(lease, in: &batch)
    let others = next.finish(second, in: &batch)
    return batch.join(own, others)
  }

  @inlinable
  public mutating func endRecord(of connection: Connection, in batch: inout Batch) {
    if Self.isPresent {
      let slot = unsafe slots + Int(connection.slot)
      defer { unsafe slot.pointee.endRecord() }
      if unsafe slot.pointee.isInside && slot.pointee.isDropped {
        dropped &+= 1
        return
      }
    }
    next.endRecord(of: connection, in: &batch)
  }

  @inlinable
  public mutating func opened(_ connection: Connection, in batch: inout Batch) {
    if Self.isPresent {
      invariant(Int(connection.slot) < slotCount, "a connection's slot is below maxConnections")
      unsafe (slots + Int(connection.slot)).initialize(
        to: StagedSlot(stage.start(connection), serial: connection.serial))
    }
    next.opened(connection, in: &batch)
  }

  @inlinable
  public mutating func closed(
    _ connection: Connection, _ end: StreamEnd, in batch: inout Batch
  ) {
    if Self.isPresent {
      unsafe stage.end(connection, end, state: &slots[Int(connection.slot)].state)
    }
    next.closed(connection, end, in: &batch)
  }

  @inlinable @inline(__always)
  public mutating func endBatch(in batch: inout Batch) {
    if Self.isPresent { stage.flush(in: &batch) }
    next.endBatch(in: &batch)
  }

  @inlinable
  public mutating func completed(_ index: UInt32, result: Int32, in batch: inout Batch) {
    next.completed(index, result: result, in: &batch)
  }
  @inlinable
  public mutating func completed(
    _ index: UInt32, result: Int32, flags: UInt32, in batch: inout Batch
  ) {
    next.completed(index, result: result, flags: flags, in: &batch)
  }

  @inlinable public mutating func stop() { next.stop() }
  @inlinable public mutating func hasWork() -> Bool { next.hasWork() }
  @inlinable @inline(__always) public static var isRemote: Bool { Next.isRemote }
  @inlinable public var pending: Int { next.pending &+ (Self.isPresent ? stage.pending : 0) }
  @inlinable public var readsPayload: Bool {
    next.readsPayload || Self.isPresent && S.readsPayload
  }
  @inlinable public var counters: SinkCounters {
    var counters = next.counters
    if Self.isPresent {
      counters.stageDroppedBytes &+= droppedBytes
      counters.refusedBytes &+= refusedBytes
    }
    return counters
  }
  public var failures: [SinkFailure] { next.failures }
  public func stageFailures() -> [String] { stage.failures() + next.stageFailures() }
}

/// What ``Staged`` remembers of a connection.
@frozen @usableFromInline
struct StagedSlot<State: BitwiseCopyable>: BitwiseCopyable {
  @usableFromInline var state: State
  @usableFromInline var serial: UInt64
  @usableFromInline var bytes: UInt64 = 0
  @usableFromInline var records: UInt64 = 0
  /// Where in the stream the record at hand starts.
  @usableFromInline var recordStart: UInt64 = 0
  @usableFromInline var isInside = false
  @usableFromInline var isDropped = false

  @inlinable
  init(_ state: State, serial: UInt64) {
    self.state = state
    self.serial = serial
  }

  @inlinable @inline(__always)
  mutating func add(_ piece: Piece) {
    bytes &+= UInt64(piece.count)
    isInside = (isInside || piece.first) && !piece.last
    if piece.last {
      records &+= 1
      recordStart = bytes
    }
  }

  @inlinable
  mutating func endRecord() {
    records &+= 1
    recordStart = bytes
    isInside = false
  }

  @inline(never) @usableFromInline
  func fault(_ stage: UInt64, _ code: UInt64) -> Fault {
    var fault = Fault(.stage, record: records, offset: recordStart, expected: stage, found: code)
    fault.connection = serial
    return fault
  }
}
