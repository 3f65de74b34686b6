public import CIngestKernel
import Glibc
import RingCore

/// One ring that sends for some streams: fills slots, hands them to the kernel, and takes them back
/// on the kernel's last word. Belongs to the thread that made it.
///
/// Per iteration: one io_uring_enter(2) and one acquire of the completion tail. A stream of
/// bytes has one chain of linked requests under way (IOSQE_IO_LINK, MSG_WAITALL: a request starts
/// when the one before it was taken as a whole); datagrams are independent requests.
@safe @usableFromInline
package struct SendLoop: ~Copyable {
  /// A timeout request wakes the loop this often, in nanoseconds, to look at its flags.
  static let tick: UInt64 = 50_000_000
  /// Task work, of which the tick is some, runs after so many requests at the latest.
  @inlinable static var taskWorkEvery: UInt32 { 1024 }
  /// Turns that wait after requests that were not answered at once.
  @inlinable static var turnsToWaitAfterMiss: UInt32 { 64 }
  /// Fewer bytes than this never go out with zero-copy when the loop may choose: the bookkeeping
  /// costs more than the copy (measured break-even: 1.5 to 8 KB).
  static let smallestZeroCopy: UInt32 = 2048

  @usableFromInline var ring: SendRing
  @usableFromInline var pool: SendPool
  @usableFromInline let options: SendOptions
  let shared: SendShared
  /// Those of `shared`, looked at in every turn: through the object that is a retain and a release.
  @usableFromInline let flags: UnsafeMutablePointer<UInt64>
  @usableFromInline let streams: UnsafeMutablePointer<SendStream>
  @usableFromInline let streamCount: Int
  /// `options.gather` vectors for each slot; nil when one slot makes a request.
  let vectors: UnsafeMutablePointer<iovec>?
  let tickLength: UnsafeMutablePointer<__kernel_timespec>
  /// Published with every tick.
  @usableFromInline var tally = SendTally()
  var trial = SendTrial()
  /// Whether `trial` is still deciding.
  @usableFromInline var onTrial: Bool
  /// A stream has several requests under way, which must not overtake each other.
  @usableFromInline let chains: Bool
  /// Requests are of one slot each, stand alone and go back by themselves: datagrams, or the one at
  /// a time of a stream. Nothing is chained, gathered or held for a generation.
  @usableFromInline let single: Bool
  /// Requests of at least this many bytes go out with zero-copy.
  @usableFromInline var zeroCopyFrom: UInt32
  /// A plain request and one with zero-copy: all but their socket and bytes.
  @usableFromInline let templates: UnsafeMutablePointer<io_uring_sqe>
  /// Requests whose result is to come, and notifications to come.
  @usableFromInline var inFlight: UInt32 = 0
  @usableFromInline var unnotified: UInt32 = 0
  @usableFromInline var filledBytes: UInt64 = 0
  @usableFromInline var paced = false
  @usableFromInline var starved = false
  @usableFromInline var finishing = false
  @usableFromInline var firstStream = 0
  /// Requests submitted without running task work since it last ran, and turns to go before that is
  /// tried again.
  @usableFromInline var sinceTaskWork: UInt32 = 0
  @usableFromInline var turnsToWait: UInt32 = 0
  /// CLOCK_MONOTONIC in nanoseconds, as of the last tick or newer; and when filling ends, and when
  /// waiting for what is under way does.
  var now: UInt64 = 0
  var deadline = UInt64.max
  var drainUntil = UInt64.max
  package internal(set) var remarks: [String] = []

  /// Nanoseconds since the first fill was asked for, as of the last tick or newer.
  var elapsed: UInt64 { now &- startedAt }

  /// When the first fill was asked for (CLOCK_MONOTONIC, nanoseconds).
  package internal(set) var startedAt: UInt64 = 0

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
    var ring = try SendRing(
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
    let registered = options.mode == .zeroCopyFixed || options.mode == .trial
    unsafe templates = SendLoop.makeTemplates(
      pool.memory, ordered: options.ordered, registered: registered)
    // Locals: `options.ordered && !self.single`, compiled by Swift 6.3.1, crashed here in a
    // release of what is not there.
    let alone = !options.ordered || options.batch == 1
    let single = alone && options.gather == 1 && options.generation == 1
    self.single = single
    chains = options.ordered && !single
    zeroCopyFrom = options.mode == .zeroCopy || options.mode == .zeroCopyFixed ? 0 : .max
    onTrial = options.mode == .trial
    streamCount = descriptors.count
    unsafe self.streams = streams
    self.options = options
    self.shared = shared
    unsafe flags = shared.flags
    remarks = notes
    self.ring = ring
    self.pool = pool
  }

  deinit {
    unsafe streams.deallocate()
    unsafe vectors?.deallocate()
    unsafe tickLength.deallocate()
    unsafe templates.deallocate()
  }

  private static func makeTemplates(
    _ memory: UnsafeMutableRawPointer, ordered: Bool, registered: Bool
  ) -> UnsafeMutablePointer<io_uring_sqe> {
    let flags = UInt32(MSG_NOSIGNAL) | (ordered ? UInt32(MSG_WAITALL) : 0)
    let fixed = registered ? UInt16(IK_RECVSEND_FIXED_BUF) : 0
    let entries = UnsafeMutablePointer<io_uring_sqe>.allocate(capacity: 2)
    unsafe entries.initialize(repeating: io_uring_sqe(), count: 2)
    unsafe ik_prep_send(entries, 0, memory, 0, flags)
    unsafe ik_prep_send_zc(
      entries + 1, 0, memory, 0, flags, UInt16(IK_SEND_ZC_REPORT_USAGE) | fixed, 0)
    for index in 0..<2 { unsafe entries[index].flags = UInt8(IK_SQE_FIXED_FILE) }
    return unsafe entries
  }

  /// What the mode comes to on this kernel and under this process's limits.
  private static func usableMode(
    _ ring: inout SendRing, _ pool: borrowing SendPool, _ mode: SendMode, _ notes: inout [String]
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
