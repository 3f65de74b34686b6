public import CIngestKernel
public import RingCore

extension ZeroCopyEngine {
  /// Handles every completion that is ready, in order. Not inlined, so that it stands under its own
  /// name in the binary, where tools/gates/hotpath looks for it.
  @inlinable @inline(never)
  public mutating func runBatch<S: Stage & ~Copyable>(_ stage: inout S) {
    // All that the loop changes is in locals, which it need not reload after each store through a
    // pointer. What is not taken stays in the queue; the kernel ends receives when that is full.
    let completions = core.ring.completions
    let ready = min(completions.available(), refill.batchLimit)
    core.recordBatch(ready, free: refill.unread)
    var view = refill.beginBatch()
    var tally = Tally()
    let area = core.batch.area
    // Known when this is compiled for most chains.
    let looksAhead = stage.readsPayload
    #if DEBUG
      view.batch = core.counters.batches
    #endif
    var index: UInt32 = 0
    while index != ready {
      let entry = unsafe completions.entry(index)
      let tag = OperationTag(rawValue: unsafe entry.pointee.user_data)
      let result = unsafe entry.pointee.res
      let flags = unsafe entry.pointee.flags
      index &+= 1
      // The first line of what comes next arrives while this is worked on; whatever offset stands
      // in a completion of another kind, it does no harm.
      if looksAhead && index != ready {
        unsafe area.prefetch(at: completions.entry(index).pointee.zcrx_offset)
      }
      if tag.kindByte == OperationTag.Kind.receive.rawValue && result > 0 {
        take(
          slot: tag.index, offset: unsafe entry.pointee.zcrx_offset,
          bytes: UInt32(bitPattern: result), &view, &tally, &stage)
        if flags & UInt32(IK_CQE_F_MORE) == 0 { core.receiveEnded(tag.index) }
      } else {
        tally.others &+= 1
        handle(tag, result: result, flags: flags, &stage)
      }
    }
    core.ring.completions.advance(ready)
    refill.view = view
    count(tally, of: ready)
    finishBatch()
  }

  /// What a batch counts while it goes.
  @frozen
  @usableFromInline
  struct Tally {
    @usableFromInline var bytes: UInt64 = 0
    /// Those of them that a copy may have made.
    @usableFromInline var unproven: UInt64 = 0
    /// Completions without data, and those with data that no stage was shown.
    @usableFromInline var others: UInt32 = 0
    @usableFromInline var unshown: UInt32 = 0

    @inlinable init() {}
  }

  @inlinable
  mutating func count(_ tally: Tally, of ready: UInt32) {
    let completions = ready &- tally.others
    core.counters.completions &+= UInt64(completions)
    core.counters.leases &+= UInt64(completions &- tally.unshown)
    core.counters.bytes &+= tally.bytes
    core.counters.placedBytes &+= tally.bytes &- tally.unproven
  }

  /// Turns one data completion into a lease, hands it to the stage, takes it back when it is done.
  @inlinable @inline(__always)
  mutating func take<S: Stage & ~Copyable>(
    slot: UInt32, offset: UInt64, bytes: UInt32, _ view: inout RefillQueue.View,
    _ tally: inout Tally, _ stage: inout S
  ) {
    tally.bytes &+= UInt64(bytes)
    if offset & bufferMask == 0 && bytes <= longestCopy { tally.unproven &+= UInt64(bytes) }
    guard core.table[slot].flow == .open else {
      // A copy, so that the loop's own need not be memory.
      var copy = view
      if !takePart(slot: slot, offset: offset, bytes: bytes, &copy, &stage) {
        tally.unshown &+= 1
      }
      view = copy
      return
    }
    core.table[slot].bytes &+= UInt64(bytes)
    let lease = view.claim(offset: offset, length: bytes, connection: slot)
    if let released = stage.take(lease, in: &core.batch).take() {
      view.release(released)
    } else {
      core.hold(offset, length: bytes, connection: slot)
    }
    if core.batch.refused { core.refuse(slot) }
  }

  /// The same for a connection that is metered, drained or shut. False where the stage was shown
  /// none of it.
  @inlinable @inline(never)
  mutating func takePart<S: Stage & ~Copyable>(
    slot: UInt32, offset: UInt64, bytes: UInt32, _ view: inout RefillQueue.View,
    _ stage: inout S
  ) -> Bool {
    var length = bytes
    if core.table[slot].flow.takesAll {
      core.table[slot].bytes &+= UInt64(bytes)
    } else {
      length = core.wantedPart(of: bytes, behind: 0, excess: core.excess(slot, bytes))
    }
    guard length != 0 else {
      let lease = view.claim(offset: offset, length: bytes, connection: slot)
      if let released = lease.done().take() { view.release(released) }
      return false
    }
    let lease = view.claim(offset: offset, length: length, connection: slot)
    if let released = stage.take(lease, in: &core.batch).take() {
      view.release(released)
    } else {
      core.hold(offset, length: length, connection: slot)
    }
    if core.batch.refused { core.refuse(slot) }
    if core.table[slot].state == .draining { core.drained(slot) }
    return true
  }

  /// Everything that is not received data.
  @inlinable @inline(never)
  mutating func handle<S: Stage & ~Copyable>(
    _ tag: OperationTag, result: Int32, flags: UInt32, _ stage: inout S
  ) {
    core.hasNews = true
    switch OperationTag.Kind(rawValue: tag.kindByte) {
    case .receive:
      if flags & UInt32(IK_CQE_F_MORE) != 0 { return }
      if result < 0 && salvage(tag.index, result: result, &stage) { return }
      if let end = streamEnd(of: tag.index, result: result) { close(tag.index, end, &stage) }
    case .event:
      eventCompleted(result)
    default:
      handleOther(tag, result: result, flags: flags, &stage)
    }
  }

  /// Gives back what stages held, and sees to it that the kernel reads what must be read.
  @inlinable
  public mutating func returnHeld() {
    if core.batch.returnCount != 0 {
      core.recordReturns()
      var view = refill.beginBatch()
      core.batch.takeReturns {
        core.holds.release($0)
        if $0 & AreaLayout.offsetMask < reserveStart {
          view.release($0)
        } else {
          reserve.give($0)
        }
      }
      refill.view = view
      finishBatch()
    }
    flushIfDue()
  }
}
