public import CIngestKernel
import Glibc
public import RingCore
public import Stages
public import ZeroCopy

/// The loop of a ``PlacedThread``: items, then what its sink has the kernel do, then sleep.
@usableFromInline
struct PlacedLoop<Rest: Downstream & ~Copyable>: ~Copyable {
  @usableFromInline var chain: PlacedChain<Rest>
  @usableFromInline var ring: Ring
  @usableFromInline var batch: Batch
  @usableFromInline var events: SPSCProducer<ReceiveEvent>
  @usableFromInline var counters = PlacedCounters()
  @usableFromInline let thread: PlacedThread
  // The loop's own references: asking another object for them would count.
  @usableFromInline let control: EngineControl
  @usableFromInline let published: SharedCounters<PlacedCounters>
  @usableFromInline let bell: Bell
  @usableFromInline var wakerIsArmed = false
  @usableFromInline var bytesBefore: UInt64 = 0

  /// So often it looks for items before the thread sleeps, with a pause after each look: a busy
  /// owner soon comes with the next batch.
  @inlinable static var spins: Int { 64 }
  /// However quiet it is: an abort is seen at the latest after so long, in nanoseconds.
  @inlinable static var longestSleep: UInt64 { 100_000_000 }

  @usableFromInline
  init(_ rest: consuming Rest, _ thread: PlacedThread) throws(IngestError) {
    do throws(RingError) {
      ring = try Ring(entries: 512, completionEntries: 8192)
    } catch {
      throw IngestError(error)
    }
    let limit = thread.context.holdLimit
    batch = Batch(
      area: thread.context.area, submissions: ring.submissions, holdLimit: limit,
      // Also what one burst finished at once, or got back from the next thread.
      returnLimit: 2 * limit + PlacedChain<Rest>.burst,
      refusalLimit: thread.context.maxConnections,
      // A burst may have a fault for each of its items.
      faultLimit: 2 * PlacedChain<Rest>.burst)
    chain = PlacedChain(rest, thread.crossing)
    events = thread.events.takeProducer()
    bell = thread.crossing.there.bell
    self.thread = thread
    control = thread.control
    published = thread.published
  }

  @inlinable var isAborted: Bool {
    control.current == EngineControl.Request.abort.rawValue
  }

  /// Runs until the owner says stop and all is done, or until an abort.
  @inlinable
  mutating func run() {
    var now = ik_clock_ns()
    while !isAborted {
      batch.now = now
      let count = runBurst()
      endBurst(count, from: &now)
      let completions = serveSink()
      if chain.isStopped && chain.rest.pending == 0 && count == 0 && completions == 0 { break }
      if count == 0 && completions == 0 {
        sleep()
        now = ik_clock_ns()
      }
    }
    chain.rest.stop()
    endBurst(0, from: &now)
    thread.conclude(failures())
  }

  @inlinable
  mutating func runBurst() -> Int {
    batch.meter.begin(counters.bursts, now: batch.now)
    counters.deepest = max(counters.deepest, UInt64(chain.depth))
    var dropped: UInt64 = 0
    let count = chain.run(in: &batch) { batch, connection, end, bytes, summary in
      // Its faults come before its end.
      batch.drainFaults { if !events.push(.fault($0)) { dropped += 1 } }
      let event = ReceiveEvent.closed(
        connection, end, bytes: bytes, records: summary.records, digest: summary.digest)
      if !events.push(event) { dropped += 1 }
    }
    counters.eventsDropped &+= dropped
    return count
  }

  @inlinable
  mutating func endBurst(_ count: Int, from now: inout UInt64) {
    chain.endBatch(in: &batch)
    batch.meter.end(bytes: chain.totalBytes &- bytesBefore)
    bytesBefore = chain.totalBytes
    counters.meter = batch.meter.totals
    if batch.faultTotal != counters.faults {
      counters.faults = batch.faultTotal
      var dropped: UInt64 = 0
      batch.drainFaults { if !events.push(.fault($0)) { dropped += 1 } }
      counters.eventsDropped &+= dropped
    }
    if !batch.synced.isEmpty {
      var dropped: UInt64 = 0
      batch.synced.drain { if !events.push(.synced($0)) { dropped += 1 } }
      counters.eventsDropped &+= dropped
    }
    counters.sink = chain.counters
    let after = ik_clock_ns()
    if count > 0 {
      counters.items &+= UInt64(count)
      counters.bursts &+= 1
      counters.busyNanoseconds &+= after &- now
    }
    now = after
    published.publish(counters)
  }

  /// Submits what the sink prepared and takes what is complete. Returns how many completions.
  @inlinable
  mutating func serveSink() -> Int {
    guard ring.unsubmitted > 0 || chain.rest.pending > 0 else { return 0 }
    _ = ring.enter(.none)
    return reap()
  }

  @inlinable
  mutating func reap() -> Int {
    let ready = ring.completions.available()
    var index: UInt32 = 0
    var served = 0
    while index != ready {
      let entry = unsafe ring.completions.entry(index)
      let tag = OperationTag(rawValue: unsafe entry.pointee.user_data)
      let result = unsafe entry.pointee.res
      let flags = unsafe entry.pointee.flags
      index &+= 1
      switch OperationTag.Kind(rawValue: tag.kindByte) {
      case .stage:
        chain.rest.completed(tag.index, result: result, flags: flags, in: &batch)
        served += 1
      case .wake: woken(flags)
      default: break
      }
    }
    ring.completions.advance(ready)
    return served
  }

  @usableFromInline
  mutating func woken(_ flags: UInt32) {
    var count: UInt64 = 0
    _ = unsafe Glibc.read(bell.descriptor, &count, MemoryLayout<UInt64>.size)
    if flags & UInt32(IK_CQE_F_MORE) == 0 { wakerIsArmed = false }
  }

  @inlinable
  mutating func sleep() {
    for _ in 0..<Self.spins {
      if chain.hasWork() { return }
      ik_pause()
    }
    // Leases that the owner may be waiting for, for want of buffers.
    chain.announce()
    bell.prepare()
    // After that, not before: what was handed over until then came without a ring of the bell.
    if chain.hasWork() || isAborted {
      bell.stay()
      return
    }
    armWaker()
    counters.sleeps &+= 1
    _ = ring.enter(Ring.Wait(completions: 1, timeoutNanoseconds: Self.longestSleep))
    bell.stay()
    _ = reap()
  }

  @usableFromInline
  mutating func armWaker() {
    guard !wakerIsArmed, let entry = unsafe ring.submissions.next() else { return }
    unsafe ik_prep_poll_multishot(entry, bell.descriptor, UInt32(POLLIN))
    unsafe entry.pointee.user_data = OperationTag(.wake, index: 0).rawValue
    wakerIsArmed = true
  }

  @usableFromInline
  func failures() -> [String] {
    chain.rest.failures.map { failure in
      guard let remedy = failure.remedy else { return failure.description }
      return "\(failure); \(remedy)"
    } + chain.rest.stageFailures()
  }
}
