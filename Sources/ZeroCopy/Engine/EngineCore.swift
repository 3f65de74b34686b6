import CIngestKernel
import Glibc
public import RingCore

/// What both engines are made of besides their buffers: the ring, the connections, the counters,
/// and the way the control thread speaks to them. Not generic, so it is compiled once.
///
/// Memory, fixed at start: 88 B x connections + 32 B x holds + 8 B x buffers + 64 B x SQ entries +
/// 32 B x CQ entries.
@safe
public struct EngineCore: ~Copyable {
  @usableFromInline var ring: Ring
  @usableFromInline var batch: Batch
  @usableFromInline var holds: HoldClock
  private var holdsSeenAt: UInt64 = 0
  @usableFromInline var table: ConnectionTable
  @usableFromInline var counters = EngineCounters()
  /// Whether more of the counters has changed than what changes with every batch of data. Whoever
  /// counts one of the others says so.
  @usableFromInline var hasNews = true
  @usableFromInline let options: EngineOptions
  /// Completions to wait for, as the area allows.
  @usableFromInline let waitBatch: UInt32
  @usableFromInline var pace: WaitPace
  @usableFromInline let control: EngineControl
  @usableFromInline let shared: SharedCounters<EngineCounters>
  let seat: ExchangeSeat?

  let listener: Int32
  let waker: Int32
  /// Receives to arm with the next enter, and receives that wait for free buffers.
  @usableFromInline var toArm = ConnectionTable.Queue()
  @usableFromInline var paused = ConnectionTable.Queue()
  @usableFromInline var accepting = Accepting.wanted
  /// Listening sockets without an accept in flight, a bit for each.
  private(set) var unarmed: UInt32
  /// When to accept again after the process ran out of descriptors or memory for it.
  @usableFromInline var acceptRetryAt: UInt64 = 0
  /// When paused receives are tried again whatever the engine knows of free buffers.
  @usableFromInline var resumeAt: UInt64 = .max
  @usableFromInline var wakerArmed = false
  @usableFromInline var stopping = false
  @usableFromInline var stopDeadline: UInt64 = .max
  @usableFromInline var hadData = false
  @usableFromInline var recorder: FlightRecorder
  /// How the engine waited last, what the wait said, and what the recorder knows of it.
  @usableFromInline var waited = Ring.Wait.none
  @usableFromInline var waitError: Int32 = 0
  var recordedWait = Ring.Wait.none

  @usableFromInline
  enum Accepting: UInt8 { case wanted, armed, blocked, ended }

  /// Requests between two enters: one per connection to arm, plus the sink's.
  static let submissionEntries: UInt32 = 512
  /// Between two tries to accept when descriptors or memory ran out.
  static let acceptRetry: UInt64 = 100_000_000
  /// After a stop was asked for: how long sockets that keep filling are drained.
  static let drainLimit: UInt64 = 2_000_000_000

  /// The last steps that can fail: NAPI polling, and the eventfd that wakes the engine.
  static func openWaker(
    _ ring: borrowing Ring, _ options: EngineOptions
  ) throws(RingError) -> Int32 {
    if options.busyPoll != 0 {
      let errno = ring.busyPoll(microseconds: options.busyPoll)
      guard errno == 0 else {
        throw RingError("poll the NIC's NAPI from the ring", errno: errno, kernel: "6.9")
      }
    }
    let waker = ik_event_descriptor()
    guard waker >= 0 else { throw RingError("make an eventfd", errno: -waker) }
    return waker
  }

  /// Takes over the ring, the waker and the listening socket.
  init(
    ring: consuming Ring, waker: Int32, area: AreaMemory, options: EngineOptions, listener: Int32,
    control: EngineControl, shared: SharedCounters<EngineCounters>, seat: ExchangeSeat?
  ) {
    batch = Batch(
      area: area, submissions: ring.submissions, holdLimit: options.holdLimit,
      returnLimit: options.returnLimit, refusalLimit: max(256, options.refusalLimit))
    holds = HoldClock(layout: area.layout)
    table = ConnectionTable(
      capacity: options.maxConnections, firstSerial: options.firstSerial, step: options.serialStep)
    self.ring = ring
    waitBatch = options.batch(buffers: area.layout.bufferCount)
    pace = WaitPace(most: options.minimumWait)
    self.options = options
    recorder = options.recorder
    self.control = control
    self.shared = shared
    self.seat = seat
    self.listener = listener
    unarmed = .max >> UInt32(31 - options.moreListeners.count)
    self.waker = waker
    control.register(waker: waker)
    if let seat { seat.exchange.register(waker: waker, queue: seat.queue) }
  }

  deinit {
    control.unregister(waker: waker)
    seat?.exchange.unregister(waker: waker)
    Glibc.close(waker)
    ik_close_owned(listener)
    for other in options.moreListeners { ik_close_owned(other) }
  }
}

// Waiting, stopping and waking: once per batch.
extension EngineCore {
  /// Prepares the requests that are due whatever the engine: the waker and the listener.
  @usableFromInline
  mutating func prepare() {
    if !wakerArmed, let entry = unsafe ring.submissions.next() {
      unsafe ik_prep_poll_multishot(entry, waker, UInt32(POLLIN))
      unsafe entry.pointee.user_data = OperationTag(.wake, index: 0).rawValue
      wakerArmed = true
    }
    if accepting == .wanted, hasDescriptors() { armAccepts() }
  }

  private mutating func armAccepts() {
    while unarmed != 0, let entry = unsafe ring.submissions.next() {
      let index = unarmed.trailingZeroBitCount
      unarmed &= unarmed - 1
      let socket = index == 0 ? listener : options.moreListeners[index - 1]
      if options.descriptorReserve > 0 {
        unsafe ik_prep_accept(entry, socket, UInt32(SOCK_CLOEXEC.rawValue))
      } else {
        unsafe ik_prep_accept_multishot(entry, socket, UInt32(SOCK_CLOEXEC.rawValue))
      }
      unsafe entry.pointee.user_data = OperationTag(.accept, index: UInt32(index)).rawValue
    }
    if unarmed == 0 { accepting = .armed }
  }

  /// An accept has ended: it is to be armed again.
  mutating func acceptEnded(_ index: UInt32) {
    guard index <= UInt32(options.moreListeners.count) else { return }
    unarmed |= 1 << index
    if accepting == .armed { accepting = .wanted }
  }

  /// Whether one more connection would find what it needs; otherwise accepting rests for a while.
  private mutating func hasDescriptors() -> Bool {
    guard options.descriptorReserve > 0,
      ik_descriptor_room(waker, Int32(clamping: options.descriptorReserve)) == 0
    else { return true }
    blockAccepting()
    return false
  }

  /// Accepting is tried again when a connection ends, or after a while; peers wait in the backlog.
  mutating func blockAccepting() {
    accepting = .blocked
    acceptRetryAt = batch.now &+ EngineCore.acceptRetry
    counters.acceptFailures &+= 1
    hasNews = true
  }

  /// Arms every receive again that waited for free buffers.
  @usableFromInline
  mutating func resumePaused() {
    resumeAt = .max
    recorder.append(FlightEvent(.resumed, index: paused.count))
    while let slot = table.takeFirst(of: &paused) {
      if table[slot].state == .paused { table[slot].state = .receiving }
      table.append(slot, to: &toArm)
    }
  }

  /// The next connection whose receive is to be armed.
  @usableFromInline
  mutating func nextToArm() -> UInt32? {
    guard let slot = table.takeFirst(of: &toArm) else { return nil }
    recorder.append(FlightEvent(.armed, index: slot))
    return slot
  }

  /// How to wait for the next batch.
  @usableFromInline
  mutating func nextWait(stagePending: Int) -> Ring.Wait {
    if !toArm.isEmpty { return .none }
    var wait = Ring.Wait(
      completions: waitBatch, minimumMicroseconds: pace.microseconds)
    if options.minimumWait == 0 {
      // A batch that may not be waited for: with no time to end it, the wait would be for all.
      wait.completions = 1
    } else if !ring.features.minimumWait && waitBatch > 1 {
      // Without a minimum wait: while data flows, wait for a batch, but not for long; else for one.
      if hadData {
        wait.timeoutNanoseconds = UInt64(pace.microseconds) * 1000
      } else {
        wait.completions = 1
      }
    }
    let now = batch.now
    // A deadline that has passed is no reason to wake again.
    let deadline = stopping || control.limits.deadline == 0 ? .max : control.limits.deadline
    var until = min(deadline, stopDeadline, resumeAt)
    if accepting == .blocked { until = min(until, acceptRetryAt) }
    if until != .max {
      let left = until > now ? until - now : 0
      wait.timeoutNanoseconds = min(wait.timeoutNanoseconds, left)
    }
    if stopping && table.open == 0 && stagePending == 0 { return .none }
    return wait
  }

  /// Counts the batch, and holds the totals against the limits.
  @usableFromInline
  mutating func countBatch(bytesBefore: UInt64, closedBefore: UInt64) {
    counters.batches &+= 1
    hadData = counters.bytes != bytesBefore
    if hadData {
      if counters.firstByteAt == 0 { counters.firstByteAt = batch.now }
      counters.lastByteAt = batch.now
    }
    if control.limits.countsAnything {
      control.count(
        bytes: counters.bytes &- bytesBefore, closed: counters.closed &- closedBefore)
    }
    counters.heldLeases = holds.held
    counters.keptBytes = holds.keptBytes
    if counters.meter.batches != batch.meter.totals.batches {
      counters.meter = batch.meter.totals
      hasNews = true
    }
    // Every buffer is looked at, so not too often.
    if batch.now &- holdsSeenAt >= 100_000_000 {
      holdsSeenAt = batch.now
      counters.oldestHold = holds.oldest(now: batch.now)
    }
    // A batch without data may be the last for long.
    if hasNews || !hadData {
      hasNews = false
      shared.publish(counters)
    } else {
      shared.publish(&counters, words: EngineCounters.busyWords)
    }
  }

  /// Empties the eventfd; the poll goes on unless the kernel ended it.
  @usableFromInline
  mutating func wakeCompleted(flags: UInt32) {
    var count: UInt64 = 0
    _ = unsafe Glibc.read(waker, &count, MemoryLayout<UInt64>.size)
    if flags & UInt32(IK_CQE_F_MORE) == 0 { wakerArmed = false }
  }

  /// Follows stop requests and deadlines. False when the run is over.
  @usableFromInline
  mutating func checkRequests(stagePending: Int) -> Bool {
    let request = control.current
    if request == EngineControl.Request.abort.rawValue { return false }
    if accepting == .blocked && batch.now >= acceptRetryAt { accepting = .wanted }
    let due = control.limits.deadline != 0 && batch.now >= control.limits.deadline
    if due && !stopping { control.ask(.stop) }
    if (due || request == EngineControl.Request.stop.rawValue) && !stopping { beginStop() }
    guard stopping else { return true }
    if batch.now >= stopDeadline { cutOff() }
    return table.open > 0 || stagePending > 0
  }

  /// Stops accepting, and lets each connection end after what its socket holds now (FIONREAD):
  /// those bytes were acknowledged, so the peer takes them for received.
  mutating func beginStop() {
    stopping = true
    recorder.append(FlightEvent(.stopping))
    batch.isStopping = true
    stopDeadline = batch.now &+ EngineCore.drainLimit
    if accepting != .ended {
      Glibc.shutdown(listener, Int32(SHUT_RDWR))
      for other in options.moreListeners { Glibc.shutdown(other, Int32(SHUT_RDWR)) }
    }
    accepting = .ended
    for slot in 0..<UInt32(table.capacity) {
      switch table[slot].state {
      case .receiving, .paused:
        let unread = UInt64(max(ik_unread_bytes(table[slot].descriptor), 0))
        table[slot].state = .draining
        if table[slot].flow == .open { table[slot].flow = .draining }
        table[slot].drainTarget = table[slot].bytes &+ unread
        // Ends a receive that waits for more.
        if unread == 0 { endDrained(slot) }
      case .free, .refused, .draining, .ending, .cut, .limited:
        break
      }
    }
  }

  /// Gives up on sockets that could not be drained in time, for want of buffers or by a slow sink.
  mutating func cutOff() {
    stopDeadline = .max
    recorder.append(FlightEvent(.cutOff, index: UInt32(table.open)))
    for slot in 0..<UInt32(table.capacity) {
      switch table[slot].state {
      case .draining, .ending: cut(slot)
      case .free, .receiving, .paused, .refused, .cut, .limited: break
      }
    }
    // A receive that waits for buffers has no completion to end with, unless it is tried again.
    resumePaused()
  }
}
