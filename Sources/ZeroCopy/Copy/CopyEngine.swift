import CIngestKernel
import Glibc
public import RingCore

/// Leases from plain sockets: multishot accept and multishot receive into the provided buffers of
/// an area. Works on any kernel from 6.0 and needs no privilege. The kernel copies every byte once,
/// from the socket into the area.
///
/// Made and run on one thread, which owns its ring. Memory, fixed at start:
/// area + 16 B x ring entries + 14 B x buffers + 80 B x connections + 8 B x holds
/// + 64 B x SQ entries + 32 B x CQ entries.
@safe
public struct CopyEngine: ~Copyable {
  // The order of declaration is the order of release: the ring lets go of the memory first.
  @usableFromInline var ring: Ring
  @usableFromInline var buffers: ProvidedBuffers
  let ringMemory: BufferRingMemory
  let area: HostArea
  @usableFromInline var batch: Batch
  @usableFromInline var table: ConnectionTable
  @usableFromInline var counters = EngineCounters()
  @usableFromInline let options: CopyEngineOptions
  @usableFromInline let control: EngineControl
  @usableFromInline let shared: SharedCounters<EngineCounters>
  /// How buffers are taken, after `auto` was resolved; and why not in a better way.
  public let mode: CopyEngineOptions.Mode
  public let remark: String?

  let listener: Int32
  let waker: Int32
  /// Receives to arm with the next enter, and receives that wait for free buffers.
  @usableFromInline var toArm = ConnectionTable.Queue()
  @usableFromInline var paused = ConnectionTable.Queue()
  @usableFromInline var accepting = Accepting.wanted
  /// When to accept again after the process ran out of descriptors or memory for it.
  @usableFromInline var acceptRetryAt: UInt64 = 0
  @usableFromInline var wakerArmed = false
  @usableFromInline var stopping = false
  @usableFromInline var stopDeadline: UInt64 = .max
  @usableFromInline var hadData = false

  @usableFromInline
  enum Accepting: UInt8 { case wanted, armed, blocked, ended }

  static let group: UInt16 = 0
  /// Requests between two enters: one per connection to arm, plus the sink's.
  static let submissionEntries: UInt32 = 512
  /// A multishot receive posts a completion per buffer; one that finds no place ends the receive,
  /// which costs a re-arm, nothing else.
  static let completionEntries: UInt32 = 4096
  /// Between two tries to accept when descriptors or memory ran out.
  static let acceptRetry: UInt64 = 100_000_000
  /// After a stop was asked for: how long sockets that keep filling are drained.
  static let drainLimit: UInt64 = 2_000_000_000

  /// Sets the engine up on the calling thread, which must also run it.
  ///
  /// `listener` is a listening TCP socket; the engine closes it, unless this throws: then it stays
  /// the caller's. Errors: what set-up of the ring, the area or the buffer ring refused, with its
  /// errno.
  public init(
    options: CopyEngineOptions, listener: Int32, control: EngineControl,
    shared: SharedCounters<EngineCounters>
  ) throws(RingError) {
    guard let ringEntries = ProvidedBuffers.ringEntries(for: options.layout) else {
      throw RingError(
        "provide \(options.layout.bufferCount) buffers (a ring holds 32768)", errno: EINVAL)
    }
    let ring = try Ring(
      entries: CopyEngine.submissionEntries, completionEntries: CopyEngine.completionEntries)
    let area = try HostArea(options.layout, pages: options.pages)
    let memory = BufferRingMemory(entries: Int(ringEntries))
    let choice = CopyEngine.registerBuffers(
      ring, memory: memory, entries: ringEntries, wanted: options.mode)
    let waker = ik_event_descriptor()
    guard choice.errno == 0, waker >= 0 else {
      if waker >= 0 { Glibc.close(waker) }
      if choice.errno != 0 {
        throw RingError(
          "register a ring of \(ringEntries) buffers for receive mode \(choice.mode.rawValue)",
          errno: choice.errno, kernel: choice.mode.kernel)
      }
      throw RingError("make an eventfd", errno: -waker)
    }
    buffers = unsafe ProvidedBuffers(
      unsafeRing: memory.entries, area: area.memory.address(of: 0), layout: options.layout,
      postLimit: options.layout.bufferCount)
    batch = Batch(
      area: area.memory, submissions: ring.submissions, holdLimit: options.holdLimit)
    table = ConnectionTable(
      capacity: options.maxConnections, firstSerial: options.firstSerial, step: options.serialStep)
    mode = choice.mode
    remark = choice.remark
    ringMemory = memory
    self.ring = ring
    self.area = area
    self.options = options
    self.control = control
    self.shared = shared
    self.listener = listener
    self.waker = waker
    counters.freeBuffersLow = UInt64(options.layout.bufferCount)
    shared.publish(counters)
    control.register(waker: waker)
  }

  deinit {
    control.unregister(waker: waker)
    Glibc.close(waker)
    Glibc.close(listener)
  }

  /// The shape of the area.
  public var layout: AreaLayout { options.layout }

  /// Whether every buffer is free or with the kernel: no lease is out.
  public var allBuffersHome: Bool { buffers.view.allHome }

  /// Registers the buffer ring in the wanted or the best mode.
  private static func registerBuffers(
    _ ring: borrowing Ring, memory: borrowing BufferRingMemory, entries: UInt32,
    wanted: CopyEngineOptions.Mode?
  ) -> (mode: CopyEngineOptions.Mode, errno: Int32, remark: String?) {
    let incremental = ring.features.incrementalBundles
    let best: CopyEngineOptions.Mode =
      incremental ? .incremental : ring.features.bundles ? .bundle : .plain
    let mode = wanted ?? best
    if mode == .bundle && !ring.features.bundles {
      return (mode, EINVAL, nil)
    }
    let flags = mode == .incremental ? UInt16(IK_PBUF_RING_INC) : 0
    let errno = unsafe ring.register(
      unsafeBufferRing: memory.entries, entries: entries, group: group, flags: flags)
    var remark: String?
    if wanted == nil && best != .incremental {
      remark =
        "receive mode \(best.rawValue): incremental buffers in bundles need Linux 6.15"
        + (best == .plain ? ", bundles 6.10" : "")
    }
    return (mode, errno, remark)
  }
}

/// Zeroed, page-aligned memory for a provided-buffer ring. Goes after the ring that names it.
@safe
struct BufferRingMemory: ~Copyable {
  let entries: UnsafeMutablePointer<ik_buf>

  init(entries count: Int) {
    let bytes = max(count * MemoryLayout<ik_buf>.size, 4096)
    let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 4096)
    unsafe memory.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    unsafe entries = memory.assumingMemoryBound(to: ik_buf.self)
  }

  deinit { unsafe entries.deallocate() }
}
