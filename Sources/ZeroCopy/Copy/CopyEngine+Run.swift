public import CIngestKernel
import Glibc
public import RingCore

extension CopyEngine {
  /// Handles every completion that is ready, in order. Not inlined, so that it stands under its own
  /// name in the binary, where tools/gates/hotpath looks for it.
  @inlinable @inline(never)
  public mutating func runBatch<S: Stage & ~Copyable>(_ stage: inout S) {
    let completions = core.ring.completions
    let ready = completions.available()
    let offered = buffers.view.posted
    core.recordBatch(ready, free: offered)
    // In locals, so that the loop need not reload them after each store through a pointer.
    var view = buffers.view
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
      if tag.kindByte == OperationTag.Kind.receive.rawValue && result > 0 {
        take(
          slot: tag.index, bytes: UInt32(bitPattern: result), flags: flags, &view, &stage)
        if flags & UInt32(IK_CQE_F_MORE) == 0 { core.receiveEnded(tag.index) }
      } else {
        buffers.view = view
        handle(tag, result: result, flags: flags, &stage)
        view = buffers.view
      }
    }
    core.ring.completions.advance(ready)
    // Before what came back is posted again: what the kernel had left of the area.
    if UInt64(view.posted) < core.counters.freeBuffersLow {
      core.counters.freeBuffersLow = UInt64(view.posted)
    }
    core.pace.ended(left: view.posted, of: offered)
    view.publish()
    buffers.view = view
  }

  /// Turns one data completion into leases, hands them to the stage, takes back what is done.
  @inlinable @inline(__always)
  mutating func take<S: Stage & ~Copyable>(
    slot: UInt32, bytes: UInt32, flags: UInt32, _ view: inout ProvidedBuffers.View,
    _ stage: inout S
  ) {
    core.counters.completions &+= 1
    core.counters.bytes &+= UInt64(bytes)
    var excess: UInt32 = 0
    let flow = core.table[slot].flow
    if flow.takesAll {
      core.table[slot].bytes &+= UInt64(bytes)
    } else {
      excess = core.excess(slot, bytes)
    }
    var walk = view.walk(
      buffer: UInt16(truncatingIfNeeded: flags &>> UInt32(IK_CQE_BUFFER_SHIFT)), bytes: bytes,
      more: flags & UInt32(IK_CQE_F_BUF_MORE) != 0, connection: slot)
    repeat {
      var (offset, length) = view.claim(&walk)
      if walk.remaining < excess || core.batch.refused {
        length = core.wantedPart(of: length, behind: walk.remaining, excess: excess)
        if length == 0 {
          view.release(offset)
          continue
        }
      }
      core.counters.leases &+= 1
      let verdict = stage.take(
        Lease(offset: offset, length: length, connection: slot), in: &core.batch)
      if let released = verdict.take() {
        view.release(claimed: released)
      } else {
        core.hold(offset, length: length, connection: slot)
      }
    } while walk.remaining != 0
    if core.batch.refused { core.refuse(slot) }
    if flow != .open && core.table[slot].state == .draining { core.drained(slot) }
  }

  /// Returns what stages gave back since the last batch.
  @inlinable
  public mutating func returnHeld() {
    if core.batch.returnCount == 0 && !buffers.view.wantsPublish { return }
    core.recordReturns()
    var view = buffers.view
    core.batch.takeReturns {
      core.holds.release($0)
      view.release($0)
    }
    view.publish()
    buffers.view = view
  }

  /// Everything that is not received data.
  @inlinable @inline(never)
  mutating func handle<S: Stage & ~Copyable>(
    _ tag: OperationTag, result: Int32, flags: UInt32, _ stage: inout S
  ) {
    core.hasNews = true
    guard tag.kindByte == OperationTag.Kind.receive.rawValue else {
      handleOther(tag, result: result, flags: flags, &stage)
      return
    }
    returnUnfilled(flags: flags)
    if flags & UInt32(IK_CQE_F_MORE) != 0 { return }
    if let errno = finalErrno(of: tag.index, result: result) {
      close(tag.index, core.streamEnd(of: tag.index, errno: errno), &stage)
    }
  }
}

// Once per ended receive, or once per batch.
extension CopyEngine {
  @unsafe
  public mutating func arm(
    unsafeEntry entry: UnsafeMutablePointer<io_uring_sqe>, descriptor: Int32
  ) {
    var flags = UInt16(IK_RECV_MULTISHOT)
    if mode.usesBundles(with: core.ring.features) { flags |= UInt16(IK_RECVSEND_BUNDLE) }
    unsafe ik_prep_recv_select(entry, descriptor, CopyEngine.group, flags, 0)
  }

  /// Back-pressure ends when a quarter of the area is with the kernel again; until then TCP's
  /// window keeps the senders waiting.
  public mutating func mayResume() -> Bool {
    buffers.view.posted >= max(1, buffers.view.layout.bufferCount / 4)
  }

  /// An ended receive may still name a buffer; if the kernel is through with it, it comes back.
  @usableFromInline
  mutating func returnUnfilled(flags: UInt32) {
    guard flags & UInt32(IK_CQE_F_BUFFER) != 0, flags & UInt32(IK_CQE_F_BUF_MORE) == 0 else {
      return
    }
    buffers.view.retireEmpty(
      buffer: UInt16(truncatingIfNeeded: flags &>> UInt32(IK_CQE_BUFFER_SHIFT)))
  }

  /// What the final completion of a receive means: nil where it goes on, else the errno that the
  /// stream ended with.
  @usableFromInline
  mutating func finalErrno(of slot: UInt32, result: Int32) -> Int32? {
    switch -result {
    // One that is to end needs no buffers any more, though its socket is not empty.
    case ENOBUFS where core.table[slot].state.isWanted:
      core.pause(slot)
      return nil
    case EINTR, EAGAIN:
      core.receiveEnded(slot)
      return nil
    case let errno:
      return errno
    }
  }
}
