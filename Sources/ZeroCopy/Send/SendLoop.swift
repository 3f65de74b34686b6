import CIngestKernel
import Glibc
import RingCore

/// One ring that sends for some streams: fills slots, hands them to the kernel, and takes them back
/// on the kernel's last word. Belongs to the thread that made it.
///
/// Per iteration: one io_uring_enter(2) and one acquire of the completion tail. A stream of
/// bytes has one chain of linked requests under way (IOSQE_IO_LINK, MSG_WAITALL: a request starts
/// when the one before it was taken as a whole); datagrams are independent requests.
@safe
package struct SendLoop: ~Copyable {
  /// A timeout request wakes the loop this often, in nanoseconds, to look at its flags.
  static let tick: UInt64 = 50_000_000
  /// Fewer bytes than this never go out with zero-copy when the loop may choose: the bookkeeping
  /// costs more than the copy (measured break-even: 1.5 to 8 KB).
  static let smallestZeroCopy: UInt32 = 2048

  var ring: Ring
  var pool: SendPool
  let options: SendOptions
  let shared: SendShared
  let streams: UnsafeMutablePointer<SendStream>
  let streamCount: Int
  /// `options.gather` vectors for each slot; nil when one slot makes a request.
  let vectors: UnsafeMutablePointer<iovec>?
  let tickLength: UnsafeMutablePointer<__kernel_timespec>
  var tally = SendTally()
  var trial = SendTrial()
  /// Whether `trial` is still deciding.
  var onTrial: Bool
  /// Requests of at least this many bytes go out with zero-copy.
  var zeroCopyFrom: UInt32
  let registered: Bool
  /// Requests whose result is to come, and notifications to come.
  var inFlight: UInt32 = 0
  var unnotified: UInt32 = 0
  var filledBytes: UInt64 = 0
  var paced = false
  var starved = false
  var finishing = false
  var firstStream = 0
  package private(set) var remarks: [String] = []

  /// When the first fill was asked for (CLOCK_MONOTONIC, nanoseconds).
  package private(set) var startedAt: UInt64 = 0

  /// Sets up the ring, the pool and its registration. `descriptors` are connected sockets, which
  /// stay the caller's and must outlive the loop.
  ///
  /// Errors: what ``Ring`` and ``SendPool`` throw; ENOMEM when the pool cannot be registered
  /// (RLIMIT_MEMLOCK), unless the mode is `trial`, which then sends plainly and says so; EOPNOTSUPP
  /// when the kernel has no SEND_ZC with usage reports (before 6.2).
  package init(
    _ options: SendOptions, descriptors: [Int32], shared: SendShared
  ) throws(RingError) {
    var options = options
    var notes: [String] = []
    let minimum = max(options.batch * options.gather, 2)
    let pool = try SendPool(
      length: options.length, bytes: options.pool,
      minimumSlots: options.length > 1 << 20
        ? 2 * options.gather : minimum, generation: options.generation * options.gather,
      shared: options.constant)
    let requests = min(pool.slotCount, descriptors.count * options.batch)
    var ring = try Ring(
      entries: UInt32(min(requests + 8, 32768)),
      completionEntries: UInt32(min(2 * pool.slotCount + 64, 65536)))
    options.mode = try SendLoop.usableMode(&ring, pool, options.mode, &notes)
    if options.gather > 1, unsafe !ring.takesVectors(pool.memory, mode: options.mode) {
      notes.append("vectored sends need Linux 6.17 (IORING_SEND_VECTORIZED): sent one by one")
      options.gather = 1
    }
    let error = ring.register(descriptors: descriptors)
    if error != 0 { throw RingError("register \(descriptors.count) sockets", errno: error) }

    let streams = UnsafeMutablePointer<SendStream>.allocate(capacity: descriptors.count)
    unsafe streams.initialize(repeating: SendStream(), count: descriptors.count)
    for (index, descriptor) in descriptors.enumerated() {
      unsafe streams[index].descriptor = descriptor
    }
    unsafe tickLength = .allocate(capacity: 1)
    unsafe tickLength.initialize(to: __kernel_timespec())
    if options.gather > 1 {
      let count = pool.slotCount * options.gather
      let memory = UnsafeMutablePointer<iovec>.allocate(capacity: count)
      unsafe memory.initialize(repeating: iovec(), count: count)
      unsafe vectors = memory
    } else {
      unsafe vectors = nil
    }
    registered = options.mode == .zeroCopyFixed || options.mode == .trial
    zeroCopyFrom = options.mode == .zeroCopy || options.mode == .zeroCopyFixed ? 0 : .max
    onTrial = options.mode == .trial
    streamCount = descriptors.count
    unsafe self.streams = streams
    self.options = options
    self.shared = shared
    remarks = notes
    self.ring = ring
    self.pool = pool
  }

  deinit {
    unsafe streams.deallocate()
    unsafe vectors?.deallocate()
    unsafe tickLength.deallocate()
  }

  /// What the mode comes to on this kernel and under this process's limits.
  private static func usableMode(
    _ ring: inout Ring, _ pool: borrowing SendPool, _ mode: SendMode, _ notes: inout [String]
  ) throws(RingError) -> SendMode {
    guard mode != .plain else { return mode }
    guard unsafe ring.takesUsageReports(pool.memory) else {
      guard mode == .trial else {
        throw RingError("send with zero-copy and usage reports", errno: EOPNOTSUPP)
      }
      notes.append("this kernel has no SEND_ZC with usage reports (Linux 6.2): plain send")
      return .plain
    }
    guard mode == .zeroCopyFixed || mode == .trial else { return mode }
    do throws(RingError) {
      unsafe try ring.register(unsafeBuffers: [
        iovec(iov_base: pool.memory, iov_len: pool.byteCount)
      ])
      return mode
    } catch {
      guard mode == .trial else { throw error }
      notes.append("plain send: \(error)")
      return .plain
    }
  }

  /// Sends until the content has ended, the duration is over or a stop is asked for, then waits for
  /// the kernel's last word on every slot and, on TCP, for the peer's acknowledgement.
  package mutating func run<Content: SendContent & ~Copyable>(_ content: inout Content) {
    for slot in 0..<pool.slotCount {
      unsafe content.prepare(pool.bytes(of: UInt32(slot), length: options.length))
    }
    let start = ik_clock_ns()
    startedAt = start
    let deadline = options.duration > 0 ? start &+ options.duration : .max
    var drainUntil = UInt64.max
    var now = start
    trial.begin(now: start, cpu: ik_thread_cpu_ns())
    armTick(now: now, deadline: deadline)
    while !shared.abortRequested {
      if !finishing, now >= deadline || shared.stopRequested {
        finishing = true
        drainUntil = now &+ options.drain
      }
      guard now < drainUntil else { return giveUp(ETIMEDOUT) }
      prepare(&content, elapsed: now &- start)
      if isDone { return finishStreams() }
      let error = ring.enter(nextWait(elapsed: now &- start))
      tally.enters &+= 1
      guard error == 0 || error == EINTR || error == ETIME || error == EAGAIN || error == EBUSY
      else { return giveUp(error) }
      // The tick is due at the deadline at the latest, so between ticks nobody needs the time.
      let ticked = reap()
      if ticked || onTrial || options.byteRate > 0 { now = ik_clock_ns() }
      if ticked { armTick(now: now, deadline: deadline) }
      if onTrial { advanceTrial(now: now) }
      shared.counters.publish(tally)
    }
    abort()
  }

  /// The streams, in the order of the descriptors given.
  package func results() -> [SendStreamResult] {
    (0..<streamCount).map { index in
      let stream = unsafe streams[index]
      return SendStreamResult(
        bytes: stream.bytes, records: stream.records, failure: stream.failure)
    }
  }

  /// The way that sends went, after a trial has decided.
  package var usedMode: SendMode {
    switch options.mode {
    case .trial: zeroCopyFrom == .max ? .plain : .zeroCopyFixed
    default: options.mode
    }
  }

  private var isDone: Bool {
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
  private func nextWait(elapsed: UInt64) -> Ring.Wait {
    let alone = streamCount == 1 || !options.ordered
    if inFlight > 0 { return Ring.Wait(completions: alone ? inFlight : 1) }
    if paced, starved == false {
      let due = Double(filledBytes) * 1e9 / Double(options.byteRate) - Double(elapsed)
      let pause = UInt64(min(max(due, 0), Double(SendLoop.tick)))
      return Ring.Wait(completions: pause > 0 ? 1 : 0, timeoutNanoseconds: pause)
    }
    guard unnotified > 0, starved || allEnded else { return .none }
    return Ring.Wait(completions: alone ? min(unnotified, UInt32(options.batch)) : 1)
  }

  private var allEnded: Bool {
    for index in 0..<streamCount where unsafe streams[index].failure == 0 {
      if unsafe !streams[index].ended { return false }
    }
    return true
  }

  private mutating func armTick(now: UInt64, deadline: UInt64) {
    guard let entry = unsafe ring.submissions.next() else { return }
    let left = deadline > now ? max(deadline &- now, 1_000_000) : SendLoop.tick
    unsafe tickLength.pointee.tv_nsec = Int64(min(left, SendLoop.tick))
    unsafe ik_prep(entry, Int32(IORING_OP_TIMEOUT.rawValue), -1, tickLength, 1, 0)
    unsafe entry.pointee.user_data = OperationTag(.wake, index: 0).rawValue
  }

  private mutating func advanceTrial(now: UInt64) {
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
    guard options.ordered else { return }
    for index in 0..<streamCount where unsafe streams[index].failure == 0 {
      unsafe _ = shutdown(streams[index].descriptor, Int32(SHUT_WR))
    }
    let limit = Int32(clamping: options.drain / 1_000_000)
    for index in 0..<streamCount where unsafe streams[index].failure == 0 {
      unsafe streams[index].failure = shared.finish(
        streams[index].descriptor, milliseconds: limit)
    }
  }
}

extension SendTrial.Outcome {
  /// What `auto` found, for people.
  func sentence(length: UInt32) -> String {
    if allCopied {
      return "auto: the kernel copied every zero-copy send on this path, so plain send is used"
    }
    let choice = zeroCopy ? "zero-copy from registered buffers" : "plain send"
    let times =
      "\(plain * UInt64(length) / 1000) ns plain, "
      + "\(zeroCopyCost * UInt64(length) / 1000) ns zero-copy"
    return "auto: a send of \(length) bytes costs \(times) on this path: \(choice)"
  }
}
