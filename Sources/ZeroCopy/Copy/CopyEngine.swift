import CIngestKernel
import Glibc
public import RingCore

/// Leases from plain sockets: multishot accept and multishot receive into the provided buffers of
/// an area. Works on any kernel from 6.0 and needs no privilege. The kernel copies every byte once,
/// from the socket into the area.
///
/// Made and run on one thread, which owns its ring. Memory, fixed at start:
/// area + 16 B x ring entries + 14 B x buffers + what ``EngineCore`` takes.
@safe
public struct CopyEngine: ReceiveEngine, ~Copyable {
  // The order of declaration is the order of release: the ring lets go of the memory first.
  public var core: EngineCore
  @usableFromInline var buffers: ProvidedBuffers
  let ringMemory: BufferRingMemory
  let area: AreaBacking
  /// How buffers are taken, after `auto` was resolved.
  public let mode: CopyEngineOptions.Mode
  /// Why not in a better way, or not in quite the memory that was asked for.
  public let remarks: [String]
  /// The shape of the area.
  public let layout: AreaLayout

  static let group: UInt16 = 0
  /// A multishot receive posts a completion per buffer; one that finds no place ends the receive,
  /// which costs a re-arm, nothing else.
  static let completionEntries: UInt32 = 4096

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
    let ring = try CopyEngine.makeRing(options.script)
    let area = try AreaBacking(
      options.layout, kind: options.memory, shared: options.isShared)
    guard area.isWritable else {
      throw RingError(
        "copy into \(area.description)", errno: EOPNOTSUPP,
        remedy: "its exporter does not let the CPU write; take another kind of memory")
    }
    let memory = BufferRingMemory(entries: Int(ringEntries))
    let choice = CopyEngine.registerBuffers(
      ring, memory: memory, entries: ringEntries, wanted: options.mode)
    guard choice.errno == 0 else {
      throw RingError(
        "register a ring of \(ringEntries) buffers for receive mode \(choice.mode.rawValue)",
        errno: choice.errno, kernel: choice.mode.kernel)
    }
    let waker = try EngineCore.openWaker(ring, options.engine)
    buffers = unsafe ProvidedBuffers(
      unsafeRing: memory.entries, area: area.memory.address(of: 0), layout: options.layout,
      postLimit: options.layout.bufferCount)
    mode = choice.mode
    remarks = [choice.remark, area.remark].compactMap { $0 }
    layout = options.layout
    core = EngineCore(
      ring: ring, waker: waker, area: area.memory, options: options.engine, listener: listener,
      control: control, shared: shared, seat: nil)
    core.counters.freeBuffersLow = UInt64(options.layout.bufferCount)
    shared.publish(core.counters)
    ringMemory = memory
    self.area = area
  }

  /// Whether stages may read what lies in the area.
  public var areaIsReadable: Bool { area.isReadable }

  /// The area for another process to map; the engine's to close.
  public var sharedArea: Int32? { area.sharedDescriptor }

  /// Whether every buffer is free or with the kernel: no lease is out.
  public var allBuffersHome: Bool { buffers.view.allHome }

  #if DEBUG
    /// The leases that nobody has given back, in words; nil when every claim is back.
    public func leaks() -> String? { buffers.leaks() }
  #endif

  private static func makeRing(_ script: ReplayKernel?) throws(RingError) -> Ring {
    if let script { return Ring(scripted: script) }
    return try Ring(
      entries: EngineCore.submissionEntries, completionEntries: CopyEngine.completionEntries)
  }

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
