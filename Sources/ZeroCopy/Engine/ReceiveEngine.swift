public import CIngestKernel
public import RingCore

/// An engine turns completions into leases and hands them to a stage, on the thread that owns its
/// ring. What differs between engines is where buffers come from and how they go back; the rest is
/// ``EngineCore`` and ``run(_:)``.
public protocol ReceiveEngine: ~Copyable {
  var core: EngineCore { get set }

  /// Fills a request in that receives on `descriptor` until further notice.
  @unsafe
  mutating func arm(unsafeEntry entry: UnsafeMutablePointer<io_uring_sqe>, descriptor: Int32)
  /// Whether receives that paused for want of buffers may go on.
  mutating func mayResume() -> Bool
  /// Handles every completion that is ready, in order.
  mutating func runBatch<S: Stage & ~Copyable>(_ stage: inout S)
  /// Returns what stages gave back since the last batch.
  mutating func returnHeld()
  /// The run is over: sees to it that everything that came back is with the kernel.
  mutating func returnAll()
  #if DEBUG
    /// The leases that nobody has given back, in words; nil when every claim is back.
    func leaks() -> String?
  #endif
}

extension ReceiveEngine where Self: ~Copyable {
  public mutating func returnAll() {}

  /// Receives until asked to stop, or until a limit of the control is reached.
  ///
  /// Every lease goes to `stage` on this thread. After a stop was asked for, connections are
  /// drained of what their sockets hold, the stage's requests are finished, then this returns.
  ///
  /// - Cost: per batch one io_uring_enter(2), one clock reading, one acquire of the CQ tail, one
  ///   release of its head and of the tail that gives buffers back. No allocation.
  @inlinable
  public mutating func run<S: Stage & ~Copyable>(_ stage: inout S) {
    // The first wait needs the time, too: a deadline is due although nobody ever connects.
    core.batch.now = core.ring.now()
    // A batch of nothing: a stage may have requests to submit before anybody connects.
    stage.endBatch(in: &core.batch)
    while true {
      core.prepare()
      if !core.paused.isEmpty && mayResume() { core.resumePaused() }
      armReceives()
      let wait = core.nextWait(stagePending: stage.pending)
      core.waited = wait
      core.waitError = core.ring.enter(wait)
      core.counters.enters &+= 1
      let before = (core.counters.bytes, core.counters.closed)
      core.batch.now = core.ring.now()
      // A time to look again that has come, with nothing to resume: this batch is the look.
      if core.resumeAt <= core.batch.now && core.paused.isEmpty { core.resumeAt = .max }
      core.shared.publish(first: core.batch.now)
      core.batch.meter.begin(core.counters.batches, now: core.batch.now)
      runBatch(&stage)
      stage.endBatch(in: &core.batch)
      core.batch.meter.end(bytes: core.counters.bytes &- before.0)
      if core.batch.refusalCount != 0 { core.refuseListed() }
      returnHeld()
      core.countBatch(bytesBefore: before.0, closedBefore: before.1)
      if !core.checkRequests(stagePending: stage.pending) { break }
    }
    closeEverything(&stage)
    stage.stop()
    core.recordEnd()
    core.shared.publish(core.counters)
  }

  /// The memory that stages read.
  public var area: AreaMemory { core.batch.area }

  /// The eventfd that ends the engine's wait.
  public var waker: Int32 { core.waker }

  @inlinable
  mutating func armReceives() {
    // A receive that is armed now would end at once (ENOSPC), and its last completion would wait as
    // well: with more connections than the queue has places, that would never end.
    if core.toArm.isEmpty || core.ring.completionsWait { return }
    while !core.toArm.isEmpty, let entry = unsafe core.ring.submissions.next() {
      guard let slot = core.nextToArm() else { break }
      unsafe arm(unsafeEntry: entry, descriptor: core.table[slot].descriptor)
      unsafe entry.pointee.user_data = OperationTag(.receive, index: slot).rawValue
    }
  }

  /// What is not about receiving: accepted connections, wake-ups, the stage's own requests.
  @inlinable
  mutating func handleOther<S: Stage & ~Copyable>(
    _ tag: OperationTag, result: Int32, flags: UInt32, _ stage: inout S
  ) {
    switch OperationTag.Kind(rawValue: tag.kindByte) {
    case .accept:
      admit(core.acceptCompleted(tag.index, result: result, flags: flags), &stage)
    case .stage:
      stage.completed(tag.index, result: result, flags: flags, in: &core.batch)
    case .wake:
      core.wakeCompleted(flags: flags)
      while let descriptor = core.takeHandedOver() {
        admit(core.adoptHandedOver(descriptor), &stage)
      }
    default:
      break
    }
  }

  @inlinable
  mutating func admit<S: Stage & ~Copyable>(_ admission: EngineCore.Admission, _ stage: inout S) {
    switch admission {
    case .none: break
    case .slot(let slot):
      stage.opened(core.table[slot].connection, in: &core.batch)
      if core.batch.refused { core.refuse(slot) }
    case .turnedAway(let whom): stage.turnedAway(whom, in: &core.batch)
    }
  }

  /// Ends a connection and tells the stage.
  @inlinable
  mutating func close<S: Stage & ~Copyable>(
    _ slot: UInt32, _ end: StreamEnd, _ stage: inout S
  ) {
    let connection = core.table[slot].connection
    core.batch.setStreamBytes(core.table[slot].bytes)
    core.releaseConnection(slot, end)
    stage.closed(connection, end, in: &core.batch)
    core.batch.refused = false
  }

  /// Closes what an aborted run leaves open.
  @inlinable
  mutating func closeEverything<S: Stage & ~Copyable>(_ stage: inout S) {
    for slot in 0..<UInt32(core.table.capacity) where core.table[slot].state != .free {
      close(slot, .stopped, &stage)
    }
    stage.endBatch(in: &core.batch)
    returnHeld()
    returnAll()
  }
}
