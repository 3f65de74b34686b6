import CIngestKernel
import Glibc
import RingCore

/// Sends for some streams with send(2) and MSG_ZEROCOPY, and reads the notifications from the
/// sockets' error queues (Documentation/networking/msg_zerocopy.rst). Belongs to one thread.
///
/// The kernel numbers a socket's successful calls from 0 and reports ranges of those numbers, so
/// each stream keeps which slot went with which number.
@safe
package struct MessageSendLoop: ~Copyable {
  /// Error-queue messages read in one go.
  static let rangesAtOnce = 64

  var pool: SendPool
  let options: SendOptions
  let shared: SendShared
  let streams: UnsafeMutablePointer<SendStream>
  let numbering: UnsafeMutablePointer<Numbering>
  /// `slotCount` rounded up to a power of two, for each stream: the slot and bytes of a number.
  let sent: UnsafeMutablePointer<Sent>
  let numberMask: UInt32
  let ranges: UnsafeMutablePointer<ik_zerocopy_range>
  let pollers: UnsafeMutablePointer<pollfd>
  let streamCount: Int
  var tally = SendTally()
  var unnotified = 0
  var filledBytes: UInt64 = 0
  var finishing = false

  struct Numbering: BitwiseCopyable {
    /// The number of the next call, and the oldest number without notification.
    var next: UInt32 = 0
    var outstanding: UInt32 = 0
    /// The slot being sent, and whether the socket had no room for it.
    var current = SendPool.none
    var blocked = false
  }

  struct Sent: BitwiseCopyable {
    var slot: UInt32 = SendPool.none
    var bytes: UInt32 = 0
  }

  /// When the first fill was asked for (CLOCK_MONOTONIC, nanoseconds).
  package private(set) var startedAt: UInt64 = 0

  /// `descriptors` are connected sockets, which stay the caller's. Errors: EOPNOTSUPP or EINVAL
  /// where SO_ZEROCOPY is refused; ENOMEM.
  package init(
    _ options: SendOptions, descriptors: [Int32], shared: SendShared
  ) throws(RingError) {
    for descriptor in descriptors {
      let error = ik_set_zerocopy(descriptor)
      if error != 0 { throw RingError("set SO_ZEROCOPY on a socket", errno: -error) }
    }
    let pool = try SendPool(
      length: options.length, bytes: options.pool, minimumSlots: descriptors.count + 1,
      generation: options.generation, shared: options.constant)
    var numbers = 1
    // A slot may go out in several calls when the socket's buffer is nearly full; four times as
    // many numbers as slots, and no call is made while all are out.
    while numbers < 4 * pool.slotCount { numbers *= 2 }
    let count = descriptors.count
    unsafe streams = .allocate(capacity: count)
    unsafe streams.initialize(repeating: SendStream(), count: count)
    unsafe numbering = .allocate(capacity: count)
    unsafe numbering.initialize(repeating: Numbering(), count: count)
    unsafe sent = .allocate(capacity: count * numbers)
    unsafe sent.initialize(repeating: Sent(), count: count * numbers)
    unsafe ranges = .allocate(capacity: MessageSendLoop.rangesAtOnce)
    unsafe ranges.initialize(repeating: ik_zerocopy_range(), count: MessageSendLoop.rangesAtOnce)
    unsafe pollers = .allocate(capacity: count)
    unsafe pollers.initialize(repeating: pollfd(), count: count)
    for (index, descriptor) in descriptors.enumerated() {
      unsafe streams[index].descriptor = descriptor
    }
    numberMask = UInt32(numbers - 1)
    streamCount = count
    self.options = options
    self.shared = shared
    self.pool = pool
  }

  deinit {
    unsafe streams.deallocate()
    unsafe numbering.deallocate()
    unsafe sent.deallocate()
    unsafe ranges.deallocate()
    unsafe pollers.deallocate()
  }

  /// Sends until the content has ended, the duration is over or a stop is asked for, then waits for
  /// the notification of every slot.
  package mutating func run<Content: SendContent & ~Copyable>(_ content: inout Content) {
    for slot in 0..<pool.slotCount {
      unsafe content.prepare(pool.bytes(of: UInt32(slot), length: options.length))
    }
    let start = ik_clock_ns()
    startedAt = start
    let deadline = options.duration > 0 ? start &+ options.duration : .max
    var drainUntil = UInt64.max
    while !shared.abortRequested {
      let now = ik_clock_ns()
      if !finishing, now >= deadline || shared.stopRequested {
        finishing = true
        drainUntil = now &+ options.drain
      }
      if now >= drainUntil { return abort(ETIMEDOUT) }
      var moved = false
      for index in 0..<streamCount where unsafe streams[index].failure == 0 {
        moved = sendSome(index, &content, elapsed: now &- start) || moved
      }
      if unnotified > 0 { moved = readNotifications() || moved }
      shared.counters.publish(tally)
      if isDone { return finishStreams() }
      if !moved {
        if options.ordered, allSent { unsafe shared.end(streams, streamCount) }
        waitForSockets()
      }
    }
    abort(ECANCELED)
  }

  /// The streams, in the order of the descriptors given.
  package func results() -> [SendStreamResult] {
    (0..<streamCount).map { index in
      let stream = unsafe streams[index]
      return SendStreamResult(
        bytes: stream.bytes, records: stream.records, failure: stream.failure)
    }
  }

  /// Every stream that is well has handed over all it will.
  private var allSent: Bool {
    for index in 0..<streamCount where unsafe streams[index].failure == 0 {
      if unsafe !streams[index].ended || numbering[index].current != SendPool.none {
        return false
      }
    }
    return true
  }

  /// And has heard of all of it.
  private var isDone: Bool {
    guard allSent else { return false }
    for index in 0..<streamCount where unsafe streams[index].failure == 0 {
      if unsafe numbering[index].next != numbering[index].outstanding { return false }
    }
    return true
  }

  /// Up to a batch of calls for one stream; whether any was made.
  private mutating func sendSome<Content: SendContent & ~Copyable>(
    _ index: Int, _ content: inout Content, elapsed: UInt64
  ) -> Bool {
    unsafe numbering[index].blocked = false
    for step in 0..<options.batch {
      if unsafe numbering[index].current == SendPool.none, !fill(index, &content, elapsed) {
        return step > 0
      }
      guard unsafe numbering[index].next &- numbering[index].outstanding < numberMask else {
        return step > 0
      }
      guard sendCurrent(index) else { return step > 0 }
    }
    return true
  }

  private mutating func fill<Content: SendContent & ~Copyable>(
    _ index: Int, _ content: inout Content, _ elapsed: UInt64
  ) -> Bool {
    if unsafe streams[index].ended { return false }
    if options.byteRate > 0, !finishing,
      Double(filledBytes) * 1e9 > Double(options.byteRate) * Double(elapsed)
    {
      return false
    }
    let slot = pool.take()
    guard slot != SendPool.none else {
      tally.poolWaits &+= 1
      return false
    }
    let fill = unsafe content.fill(
      stream: index, finishing: finishing, into: pool.bytes(of: slot, length: options.length))
    guard fill.state == .ready else {
      pool.putBack(slot)
      if fill.state == .ended {
        unsafe streams[index].ended = true
        pool.closeGeneration()
      }
      return false
    }
    let entry = unsafe pool.slots + Int(slot)
    unsafe entry.pointee.stream = UInt32(index)
    unsafe entry.pointee.total = fill.length
    unsafe entry.pointee.records = fill.records
    filledBytes &+= UInt64(fill.length)
    pool.enlist(slot)
    unsafe numbering[index].current = slot
    return true
  }

  /// One call for the slot under way; false when the socket takes nothing now.
  private mutating func sendCurrent(_ index: Int) -> Bool {
    let slot = unsafe numbering[index].current
    let entry = unsafe pool.slots + Int(slot)
    let at = unsafe pool.address(of: slot) + Int(entry.pointee.sent)
    let left = unsafe entry.pointee.total &- entry.pointee.sent
    let result = unsafe ik_send_zerocopy(streams[index].descriptor, at, Int(left))
    tally.enters &+= 1
    guard result > 0 else {
      // ENOBUFS: the notifications still queued use up net.core.optmem_max.
      if result == -Int64(EAGAIN) || result == -Int64(ENOBUFS) {
        unsafe numbering[index].blocked = true
      } else {
        fail(index, errno: Int32(-result))
      }
      return false
    }
    let taken = UInt32(result)
    let number = unsafe numbering[index].next
    let place = Int(number & numberMask) + index * (Int(numberMask) + 1)
    unsafe sent[place] = Sent(slot: slot, bytes: taken)
    unsafe numbering[index].next = number &+ 1
    unsafe entry.pointee.pending &+= 1
    unnotified += 1
    unsafe entry.pointee.sent &+= taken
    unsafe streams[index].bytes &+= UInt64(taken)
    tally.bytes &+= UInt64(taken)
    guard unsafe entry.pointee.sent == entry.pointee.total else {
      tally.shortSends &+= 1
      return true
    }
    tally.sends &+= 1
    tally.zeroCopySends &+= 1
    let records = unsafe UInt64(entry.pointee.records)
    tally.records &+= records
    unsafe streams[index].records &+= records
    unsafe entry.pointee.state = .awaiting
    unsafe numbering[index].current = SendPool.none
    return true
  }

  private mutating func abort(_ error: Int32) {
    for index in 0..<streamCount where unsafe streams[index].failure == 0 {
      if unsafe !streams[index].ended || numbering[index].next != numbering[index].outstanding {
        unsafe streams[index].failure = error
      }
      if options.ordered { unsafe _ = ik_abort(streams[index].descriptor) }
    }
    shared.counters.publish(tally)
  }

  private mutating func finishStreams() {
    guard options.ordered else { return }
    unsafe shared.finish(streams, streamCount, within: options.drain)
  }
}
