import CIngestKernel
import Glibc
public import RingCore

extension SendLoop {
  /// Sends until the content has ended, the duration is over or a stop is asked for, then waits for
  /// the kernel's last word on every slot and, on TCP, for the peer's acknowledgement.
  ///
  /// - Cost: 88 instructions a datagram in batches of 32, 113 with zero-copy; 255 and 289 one at a
  ///   time; beside the kernel's 4700 and more (tools/gates/send). Specialised for the content.
  @inlinable
  package mutating func run<Content: SendContent & ~Copyable>(_ content: inout Content) {
    for slot in 0..<pool.slotCount {
      unsafe content.prepare(pool.bytes(of: UInt32(slot), length: options.length))
    }
    begin()
    while goesOn() {
      if goesStraight() {
        guard sendOn(&content) else { return }
      } else {
        prepare(&content)
        guard turn() else { return }
      }
    }
  }

  @usableFromInline
  mutating func begin() {
    now = ik_clock_ns()
    startedAt = now
    deadline = options.duration > 0 ? now &+ options.duration : .max
    trial.begin(now: now, cpu: ik_thread_cpu_ns())
    armTick()
  }

  /// Whether to send on, or to wait for what is under way; false once the streams were cut off.
  @usableFromInline
  mutating func goesOn() -> Bool {
    guard unsafe ik_load_relaxed_u64(flags + SendShared.abortFlag) == 0 else {
      abort()
      return false
    }
    let stop = unsafe ik_load_relaxed_u64(flags + SendShared.stopFlag) != 0
    if !finishing, now >= deadline || stop {
      finishing = true
      drainUntil = now &+ options.drain
    }
    guard now < drainUntil else {
      giveUp(ETIMEDOUT)
      return false
    }
    return true
  }

  /// Hands over what was prepared and handles what came back; false at the end.
  @usableFromInline
  mutating func turn() -> Bool {
    guard !isDone() else {
      finishStreams()
      return false
    }
    let error = hand()
    return conclude(error, ticked: single ? reapSingle() : reap())
  }

  /// What is to do after a turn; false at the end.
  @usableFromInline
  mutating func conclude(_ error: Int32, ticked: Bool) -> Bool {
    guard error == 0 || error == EINTR || error == ETIME || error == EAGAIN || error == EBUSY
    else {
      giveUp(error)
      return false
    }
    // The tick is due at the deadline at the latest, so between ticks nobody needs the time.
    if ticked || onTrial || options.byteRate > 0 { now = ik_clock_ns() }
    if ticked {
      armTick()
      shared.counters.publish(tally)
    }
    if onTrial { advanceTrial() }
    return true
  }

  /// One system call. Plain sends are mostly answered while they are submitted: as long as they
  /// are, nothing waits.
  @inlinable @inline(__always)
  mutating func hand() -> Int32 {
    tally.enters &+= 1
    guard zeroCopyFrom == .max, inFlight > 0, turnsToWait == 0,
      sinceTaskWork < SendLoop.taskWorkEvery
    else {
      sinceTaskWork = 0
      turnsToWait = max(turnsToWait, 1) &- 1
      return ring.enter(nextWait())
    }
    sinceTaskWork &+= inFlight
    let error = ring.submit()
    if ring.completions.available() < inFlight { turnsToWait = SendLoop.turnsToWaitAfterMiss }
    return error
  }

  // What follows changes nothing and is `mutating` all the same: a borrowed loop of this size is
  // handed over as a copy of its own, 700 bytes and two retains (Swift 6.3).

  @inline(__always)
  private mutating func isDone() -> Bool {
    guard inFlight == 0, unnotified == 0 else { return false }
    for index in 0..<streamCount {
      let stream = unsafe streams[index]
      if stream.failure == 0 && !(stream.ended && stream.chainHead == SendPool.none) {
        return false
      }
    }
    return true
  }

  /// A full batch for one stream, so that the task work of a whole chain runs in one enter; one
  /// completion where a slow stream must not hold up the others.
  @inlinable @inline(__always)
  mutating func nextWait() -> Ring.Wait {
    if inFlight > 0 { return Ring.Wait(completions: waitsAlone ? inFlight : 1) }
    return idleWait()
  }

  /// Whether no stream waits for another one.
  @inlinable @inline(__always)
  var waitsAlone: Bool { mutating get { streamCount == 1 || !options.ordered } }

  /// With nothing under way: for what is due, or for buffers.
  @inline(never) @usableFromInline
  mutating func idleWait() -> Ring.Wait {
    if paced, starved == false {
      let due = Double(filledBytes) * 1e9 / Double(options.byteRate) - Double(elapsed)
      let pause = UInt64(min(max(due, 0), Double(SendLoop.tick)))
      return Ring.Wait(completions: pause > 0 ? 1 : 0, timeoutNanoseconds: pause)
    }
    let ended = allEnded()
    if ended, options.ordered { unsafe shared.end(streams, streamCount) }
    guard unnotified > 0, starved || ended else { return .none }
    return Ring.Wait(completions: waitsAlone ? min(unnotified, UInt32(options.batch)) : 1)
  }

  @usableFromInline
  mutating func allEnded() -> Bool {
    for index in 0..<streamCount where unsafe streams[index].failure == 0 {
      if unsafe !streams[index].ended { return false }
    }
    return true
  }

  private mutating func armTick() {
    guard let entry = unsafe ring.submissions.next() else { return }
    let left = deadline > now ? max(deadline &- now, 1_000_000) : SendLoop.tick
    unsafe tickLength.pointee.tv_nsec = Int64(min(left, SendLoop.tick))
    unsafe ik_prep(entry, Int32(IORING_OP_TIMEOUT.rawValue), -1, tickLength, 1, 0)
    unsafe entry.pointee.user_data = OperationTag(.wake, index: 0).rawValue
  }

  private mutating func advanceTrial() {
    guard trial.epochIsOver(tally, now: now) else { return }
    trial.closeEpoch(tally, now: now, cpu: ik_thread_cpu_ns())
    let length = UInt32(options.length * options.gather)
    guard let outcome = trial.outcome else {
      zeroCopyFrom = trial.zeroCopyNow ? 0 : .max
      return
    }
    onTrial = false
    zeroCopyFrom = outcome.zeroCopy ? min(length, SendLoop.smallestZeroCopy) : .max
    remarks.append(outcome.sentence(length: length))
  }

  /// Ends every stream that is not through, and drops what is under way.
  private mutating func giveUp(_ error: Int32) {
    for index in 0..<streamCount where unsafe streams[index].failure == 0 {
      if unsafe streams[index].inFlight > 0 || !streams[index].ended {
        unsafe streams[index].failure = error
      }
    }
    abort()
  }

  /// Closing the ring cancels what is in flight; the kernel holds the pages of the pool for as long
  /// as it reads them, whether or not they are still mapped here.
  private mutating func abort() {
    for index in 0..<streamCount {
      if unsafe streams[index].failure == 0, unsafe !streams[index].ended {
        unsafe streams[index].failure = ECANCELED
      }
      if options.ordered { unsafe _ = ik_abort(streams[index].descriptor) }
    }
    shared.counters.publish(tally)
  }

  private mutating func finishStreams() {
    pool.closeGeneration()
    invariant(
      pool.available == pool.slotCount, "a finished sender has every slot back")
    shared.counters.publish(tally)
    guard options.ordered else { return }
    unsafe shared.finish(streams, streamCount, within: options.drain)
  }
}
