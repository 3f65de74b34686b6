public import CIngestKernel
public import RingCore

extension CopyEngine {
  /// Receives until asked to stop, or until a limit of the control is reached.
  ///
  /// Every lease goes to `stage` on this thread. After a stop was asked for, connections are
  /// drained of what their sockets hold, the stage's requests are finished, then this returns.
  ///
  /// - Cost: per batch one io_uring_enter(2), one clock reading, one acquire of the CQ tail, one
  ///   release of its head and of the buffer ring's tail. No allocation.
  @inlinable
  public mutating func run<S: Stage & ~Copyable>(_ stage: inout S) {
    // The first wait needs the time, too: a deadline is due although nobody ever connects.
    batch.now = ik_clock_ns()
    while true {
      prepare()
      let wait = nextWait(stagePending: stage.pending)
      _ = ring.enter(wait)
      counters.enters &+= 1
      let before = (counters.bytes, counters.closed)
      batch.now = ik_clock_ns()
      runBatch(&stage)
      stage.endBatch(in: &batch)
      if batch.refusalCount != 0 { refuseListed() }
      returnHeld()
      counters.batches &+= 1
      hadData = counters.bytes != before.0
      if hadData {
        if counters.firstByteAt == 0 { counters.firstByteAt = batch.now }
        counters.lastByteAt = batch.now
      }
      if control.limits.countsAnything {
        control.count(bytes: counters.bytes &- before.0, closed: counters.closed &- before.1)
      }
      shared.publish(counters)
      if !checkRequests(stagePending: stage.pending) { break }
    }
    closeEverything(&stage)
    shared.publish(counters)
  }

  /// Handles every completion that is ready, in order. Not inlined, so that it stands under its own
  /// name in the binary, where tools/gates/hotpath looks for it.
  @inlinable @inline(never)
  mutating func runBatch<S: Stage & ~Copyable>(_ stage: inout S) {
    let ready = ring.completions.available()
    // In locals, so that the loop need not reload them after each store through a pointer.
    var view = buffers.view
    #if DEBUG
      view.batch = counters.batches
    #endif
    var index: UInt32 = 0
    while index != ready {
      let entry = unsafe ring.completions.entry(index)
      let tag = OperationTag(rawValue: unsafe entry.pointee.user_data)
      let result = unsafe entry.pointee.res
      let flags = unsafe entry.pointee.flags
      index &+= 1
      if tag.kindByte == OperationTag.Kind.receive.rawValue && result > 0 {
        take(
          slot: tag.index, bytes: UInt32(bitPattern: result), flags: flags, &view, &stage)
        if flags & UInt32(IK_CQE_F_MORE) == 0 { receiveEnded(tag.index) }
      } else {
        buffers.view = view
        handle(tag, result: result, flags: flags, &stage)
        view = buffers.view
      }
    }
    ring.completions.advance(ready)
    // Before what came back is posted again: what the kernel had left of the area.
    if UInt64(view.posted) < counters.freeBuffersLow {
      counters.freeBuffersLow = UInt64(view.posted)
    }
    view.publish()
    buffers.view = view
  }

  /// Turns one data completion into leases, hands them to the stage, takes back what is done.
  @inlinable @inline(__always)
  mutating func take<S: Stage & ~Copyable>(
    slot: UInt32, bytes: UInt32, flags: UInt32, _ view: inout ProvidedBuffers.View,
    _ stage: inout S
  ) {
    counters.completions &+= 1
    counters.bytes &+= UInt64(bytes)
    let wanted = table[slot].state.isWanted
    if wanted { table[slot].bytes &+= UInt64(bytes) }
    var walk = view.walk(
      buffer: UInt16(truncatingIfNeeded: flags &>> UInt32(IK_CQE_BUFFER_SHIFT)), bytes: bytes,
      more: flags & UInt32(IK_CQE_F_BUF_MORE) != 0, connection: slot)
    repeat {
      let (offset, length) = view.claim(&walk)
      if !wanted || batch.refused {
        counters.discardedBytes &+= UInt64(length)
        view.release(offset)
        continue
      }
      counters.leases &+= 1
      let verdict = stage.take(
        Lease(offset: offset, length: length, connection: slot), in: &batch)
      if let released = verdict.take() { view.release(released) }
    } while walk.remaining != 0
    if batch.refused { refuse(slot) }
    if table[slot].state == .draining { drained(slot) }
  }

  /// Returns what stages gave back since the last batch.
  @inlinable
  mutating func returnHeld() {
    if batch.returnCount == 0 && !buffers.view.wantsPublish { return }
    var view = buffers.view
    batch.takeReturns { view.release($0) }
    view.publish()
    buffers.view = view
  }

  /// Everything that is not received data.
  @inlinable @inline(never)
  mutating func handle<S: Stage & ~Copyable>(
    _ tag: OperationTag, result: Int32, flags: UInt32, _ stage: inout S
  ) {
    switch OperationTag.Kind(rawValue: tag.kindByte) {
    case .receive:
      returnUnfilled(result: result, flags: flags)
      if flags & UInt32(IK_CQE_F_MORE) != 0 { return }
      if let end = streamEnd(of: tag.index, result: result) {
        close(tag.index, end, &stage)
      }
    case .accept:
      if let slot = acceptCompleted(result: result, flags: flags) {
        stage.opened(table[slot].connection, in: &batch)
        if batch.refused { refuse(slot) }
      }
    case .stage:
      stage.completed(tag.index, result: result, in: &batch)
    case .wake:
      wakeCompleted(flags: flags)
    default:
      break
    }
  }

  /// Ends a connection and tells the stage.
  @inlinable
  mutating func close<S: Stage & ~Copyable>(
    _ slot: UInt32, _ end: StreamEnd, _ stage: inout S
  ) {
    let connection = table[slot].connection
    batch.setStreamBytes(table[slot].bytes)
    releaseConnection(slot, end)
    stage.closed(connection, end, in: &batch)
    batch.refused = false
  }

  /// Closes what an aborted run leaves open.
  @inlinable
  mutating func closeEverything<S: Stage & ~Copyable>(_ stage: inout S) {
    for slot in 0..<UInt32(table.capacity) where table[slot].state != .free {
      close(slot, .stopped, &stage)
    }
    stage.endBatch(in: &batch)
    returnHeld()
  }
}
