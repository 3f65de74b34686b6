public import CIngestKernel
import Glibc
public import RingCore

/// Leases from a ZCRX interface queue: RECV_ZC multishot on every connection, claims back through
/// the refill ring. With a NIC queue the payload lies in the area before the kernel hears of it;
/// device-less the kernel copies it there.
///
/// Made and run on one thread, which owns its ring. Memory, fixed at start: area + refill ring
/// (16 B x entries) + 8 B x (CQ entries + holds) + what ``EngineCore`` takes.
@safe
public struct ZeroCopyEngine: ReceiveEngine, ~Copyable {
  // The order of declaration is the order of release: the ring lets go of the memory first.
  public var core: EngineCore
  @usableFromInline var refill: RefillQueue
  @usableFromInline let area: ZCRXArea
  public let layout: AreaLayout
  /// What tells a placed completion from one that may be a copy.
  @usableFromInline let bufferMask: UInt64
  @usableFromInline let longestCopy: UInt32
  @usableFromInline var reserve: SalvageReserve
  @usableFromInline let reserveStart: UInt64
  /// Whether a paused receive needs a buffer of the reserve, and since when there has been none.
  @usableFromInline var waitsForReserve = false
  @usableFromInline var reserveEmptySince: UInt64 = 0
  /// When a stream was last ended for want of a buffer.
  private var starvedEndAt: UInt64 = 0
  /// Claims that came back when receives were last paused, and the wait until they are tried again.
  private var returnedAtPause: UInt32 = 0
  private var backOff = ZeroCopyEngine.shortestBackOff
  /// Refill entries that the kernel may leave unread before it is told to look.
  private let flushMark: UInt32
  private var wantsFlush = false
  private var eventFired = false
  private var armEventAt: UInt64 = 0

  /// SQ entries of a ring that an engine runs on: one per connection to arm, plus the sink's.
  public static let submissionEntries = EngineCore.submissionEntries
  /// Paused receives are tried again after this long, then twice as long each time in a row.
  private static let shortestBackOff: UInt64 = 1_000_000
  private static let longestBackOff: UInt64 = 64_000_000
  /// At most one exhaustion event in this time: a NIC without buffers would raise one per batch.
  private static let eventInterval: UInt64 = 10_000_000

  /// Takes over a ring that `area` is bound to. Both belong to the calling thread, which must also
  /// run the engine. `listener` is a listening TCP socket; the engine closes it, unless this
  /// throws: then it stays the caller's.
  public init(
    ring: consuming Ring, area: consuming ZCRXArea, options: EngineOptions, listener: Int32,
    control: EngineControl, shared: SharedCounters<EngineCounters>, seat: ExchangeSeat? = nil
  ) throws(RingError) {
    let waker = try EngineCore.openWaker(ring, options)
    layout = area.layout
    refill = RefillQueue(
      ring: area.refill, layout: area.layout, batch: ring.completions.capacity,
      holdLimit: UInt32(clamping: options.holdLimit), lock: area.lock)
    // Nobody but FLUSH_RQ reads the refill ring of a device-less queue.
    flushMark =
      area.isDeviceless ? max(1, min(area.layout.bufferCount, area.refill.capacity) / 4) : .max
    core = EngineCore(
      ring: ring, waker: waker, area: area.memory, options: options, listener: listener,
      control: control, shared: shared, seat: seat)
    core.counters.freeBuffersLow = .max
    core.counters.source =
      area.isDeviceless ? .deviceless : area.takesCopies ? .queue : .unreachable
    core.counters.countsCopies = area.copiedBytes == nil ? 0 : 1
    bufferMask = UInt64(area.layout.bufferSize) - 1
    longestCopy = UInt32(getpagesize())
    reserve = SalvageReserve(behind: area.layout, count: area.reserveCount)
    reserveStart = UInt64(area.layout.byteCount)
    shared.publish(core.counters)
    self.area = area
  }

  /// Whether stages may read what lies in the area.
  public var areaIsReadable: Bool { area.isReadable }

  /// The area for another process to map; the engine's to close.
  public var sharedArea: Int32? { area.sharedDescriptor }

  #if DEBUG
    /// The leases that nobody has given back, in words; nil when every claim is back.
    public func leaks() -> String? { refill.leaks() }
  #endif
}

// Once per batch, or once per ended receive.
extension ZeroCopyEngine {
  /// Other rings may be bound to the same area and go on: nothing of it may stay in this one's
  /// list. Before 6.19 nobody can be, and there is no FLUSH_RQ.
  public mutating func returnAll() {
    while !refill.settle(), core.ring.flushRefill(area.id) == 0 {
      core.counters.refillFlushes &+= 1
    }
  }

  @unsafe
  public mutating func arm(
    unsafeEntry entry: UnsafeMutablePointer<io_uring_sqe>, descriptor: Int32
  ) {
    unsafe ik_prep_recv_zc(entry, descriptor, area.id)
  }

  /// A receive that found no buffer to copy into goes on when a quarter of the area came back, or
  /// after a while: where the rest is, in the NIC or in other sockets, only the kernel knows.
  public mutating func mayResume() -> Bool {
    if waitsForReserve && !reserve.isExhausted {
      waitsForReserve = false
      return true
    }
    let back = refill.view.returned &- returnedAtPause
    return back >= max(1, layout.bufferCount / 4) || core.batch.now >= core.resumeAt
  }

  /// Has a receive wait until buffers came back, or a while.
  mutating func pauseForBuffers(_ slot: UInt32) {
    core.pause(slot)
    returnedAtPause = refill.view.returned
    core.resumeAt = core.batch.now &+ backOff
    backOff = min(backOff &* 2, ZeroCopyEngine.longestBackOff)
  }

  /// Whether waiting for buffers has brought none: they lie in sockets, behind what needs one.
  var isStarved: Bool { backOff > ZeroCopyEngine.shortestBackOff }

  /// Publishes the claims that came back.
  @usableFromInline
  mutating func finishBatch() {
    if !refill.settle() { wantsFlush = true }
    if let copied = area.copiedBytes { core.counters.copiedFragmentBytes = copied }
    if core.hadData { backOff = ZeroCopyEngine.shortestBackOff }
  }

  /// FLUSH_RQ where the refill ring has no room, where receives wait for buffers, and where nobody
  /// else reads it.
  @usableFromInline
  mutating func flushIfDue() {
    if eventFired && core.batch.now >= armEventAt {
      eventFired = core.ring.armEvent(area.id, UInt32(IK_ZCRX_EVENT_ALLOC_FAIL)) != 0
      armEventAt = core.batch.now &+ ZeroCopyEngine.eventInterval
    }
    guard wantsFlush || (flushMark != .max && refill.unread >= flushMark) else { return }
    wantsFlush = false
    // Before 6.19 there is no such call; then the NIC's own reading has to do.
    let unread = refill.unread
    core.recordFlush(core.ring.flushRefill(area.id), unread: unread)
    core.counters.refillFlushes &+= 1
    if !refill.settle() { core.resumeAt = min(core.resumeAt, core.batch.now &+ backOff) }
  }

  @usableFromInline
  mutating func eventCompleted(_ event: Int32) {
    guard event == Int32(IK_ZCRX_EVENT_ALLOC_FAIL) else { return }
    core.counters.noBuffers &+= 1
    eventFired = true
    wantsFlush = true
  }

  /// What the final completion of a receive means: nil where it goes on, else how the stream ended.
  @usableFromInline
  mutating func streamEnd(of slot: UInt32, result: Int32) -> StreamEnd? {
    switch -result {
    case ENOSPC:
      // The completion queue was full. Nothing is lost: TCP is advanced by what was posted.
      core.counters.completionsFull &+= 1
      core.receiveEnded(slot)
      return nil
    case EINTR, EAGAIN:
      core.receiveEnded(slot)
      return nil
    // One that is to end needs no buffers any more, though its socket is not empty.
    case ENOMEM where area.takesCopies && core.table[slot].state.isWanted:
      if hasStarved(slot),
        core.batch.now &- starvedEndAt >= SalvageReserve.endInterval
      {
        starvedEndAt = core.batch.now
        core.counters.starved &+= 1
        return .starved
      }
      pauseForBuffers(slot)
      wantsFlush = true
      return nil
    case ENOMEM:
      let end = core.streamEnd(of: slot, errno: ENOMEM)
      guard case .failed = end else { return end }
      core.counters.unsplit &+= 1
      return .unsplit
    case EFAULT:
      let end = core.streamEnd(of: slot, errno: EFAULT)
      guard case .failed = end else { return end }
      core.counters.misplaced &+= 1
      return .misplaced
    case let errno:
      return core.streamEnd(of: slot, errno: errno)
    }
  }
}
