public import RingCore

/// How large an area and its rings must be, as a sum that can be shown.
///
/// Every buffer of an area is somewhere: posted in the NIC's ring, in the page pool's caches,
/// unread in a socket, or leased to a stage. When all are, the NIC drops packets until some come
/// back (Linux 7.2, io_uring/zcrx.c, io_pp_zc_alloc_netmems). So the area is the sum of what each
/// of these may take at the same time. Pure arithmetic: nothing is asked of the system here.
public struct AreaSizing: Equatable, Sendable {
  /// The parts of the sum, in the order in which they are served; empty ones are left out.
  public let terms: [Term]
  /// The area: its size in buffers of the length asked for.
  public let layout: AreaLayout
  /// Buffers that all terms want together.
  public let wantedBuffers: Int
  /// The most leases that may be out at a time: each owes an entry of the refill ring.
  public let leasesOut: Int
  /// Entries of the refill ring and of the completion queue, powers of two.
  public let refillEntries: Int
  public let completionEntries: Int
  /// Bytes charged to RLIMIT_MEMLOCK by all areas together, with their refill rings.
  public let lockedBytes: Int
  /// What is smaller than it should be, as sentences.
  public let warnings: [String]

  /// What a receiver needs, and what it may have.
  public struct Demand: Equatable, Sendable {
    /// Bytes of a buffer: a power of two from 4096 to 1 GiB.
    public var bufferLength = 4096
    /// Bytes of a page of the memory behind the area, in whose units it is made and locked.
    public var pageBytes = 4096
    /// Interface queues that take from the area.
    public var queues = 1
    /// Buffers that the driver keeps posted for a queue: ring entries, times buffers per entry.
    public var ringBuffers = 1024
    /// Buffers that the page pool of a queue keeps: its cache (128) and one reading of the refill
    /// ring (64).
    public var poolBuffers = 192
    /// Buffers kept free for payload that the kernel has to copy: packets that were not split, or
    /// that came through another queue.
    public var spareBuffers = 64
    /// Leases that stages may hold past their batch.
    public var heldLeases = 4096
    /// Connections that receive at a time, and the most unread bytes of one. The kernel counts a
    /// socket's buffers as a whole against SO_RCVBUF, so that is the number to give.
    public var connections = 64
    public var unreadBytes = 0
    /// Payload of the smallest packets that come in numbers: so many share a buffer.
    public var packetBytes = 1448

    /// What the kernel allows: ``KernelFeatures/areaLimit``.
    public var areaLimit = AreaLayout.limit
    /// RLIMIT_MEMLOCK; nil where nothing is limited (CAP_IPC_LOCK).
    public var lockedLimit: Int?
    /// Areas of this size that are made: the limit is one for all.
    public var areas = 1

    /// Sizes that the user chose; nil are computed.
    public var areaBytes: Int?
    public var refillEntries: Int?
    public var completionEntries: Int?

    public init() {}
  }

  /// One part of the sum.
  public struct Term: Equatable, Sendable {
    public let buffers: Int
    /// `NIC ring`: what the buffers are for.
    public let name: String
    /// What happens without them, as the end of a sentence.
    let consequence: String
  }

  /// io_uring's limits (io_uring/zcrx.c, IO_RQ_MAX_ENTRIES; io_uring.c, IORING_MAX_CQ_ENTRIES).
  public static let refillLimit = 32768
  public static let completionLimit = 65536
  /// Completions that one pass over a socket may post: 21 packets of up to 17 fragments
  /// (IO_SKBS_PER_CALL_LIMIT, MAX_SKB_FRAGS).
  static let completionsPerPass = 21 * 17
  /// No area is an odd number of kilobytes, however small the buffers.
  static let roundingUnit = 1 << 20

  /// Adds up what `demand` asks for.
  public init(_ demand: Demand) {
    let length = demand.bufferLength
    invariant(
      AreaLayout(bufferSize: length, bufferCount: 1) != nil,
      "a buffer length is a power of two from 4096 to 1 GiB")
    let needs = AreaSizing.needs(demand)
    let wanted = needs.reduce(0) { $0 + $1.buffers }
    let unit = max(AreaSizing.roundingUnit, demand.pageBytes, length)
    let limit = max(min(demand.areaLimit, AreaLayout.limit), length)
    let area: Int
    if let given = demand.areaBytes {
      area = max(min(given, limit) / length, 1) * length
    } else {
      let most = limit / unit * unit
      let rounded = wanted < most / length ? (wanted * length + unit - 1) / unit * unit : most
      area = max(rounded, length)
    }
    // From one buffer to the limit, in whole buffers: always a layout.
    layout = AreaLayout(bufferSize: length, bufferCount: area / length)!
    wantedBuffers = wanted
    let buffers = area / length
    terms = needs + AreaSizing.rest(buffers - wanted, isGiven: demand.areaBytes != nil)

    // Data is in what neither ring nor caches keep; several packets may share a buffer.
    let kept = AreaSizing.clamped(demand.queues) * AreaSizing.perQueue(demand)
    let packet = max(1, min(demand.packetBytes, length))
    let packets = (length + packet - 1) / packet
    let possible = max(buffers - kept, 1) * packets
    let burst = max(AreaSizing.clamped(demand.connections), 1) * AreaSizing.completionsPerPass
    let completions = AreaSizing.entries(
      demand.completionEntries ?? min(possible, burst), least: 256, most: AreaSizing.completionLimit
    )
    leasesOut = min(possible, AreaSizing.clamped(demand.heldLeases) + completions)
    completionEntries = completions
    refillEntries = AreaSizing.entries(
      demand.refillEntries ?? leasesOut, least: 64, most: AreaSizing.refillLimit)
    lockedBytes = AreaSizing.locked(demand, area: area, refill: refillEntries)

    var warnings = [AreaSizing.limitWarning(demand, limit: limit)]
    warnings.append(AreaSizing.lackWarning(needs, layout, wanted: wanted))
    warnings.append(AreaSizing.refillWarning(refillEntries, leases: leasesOut))
    warnings.append(AreaSizing.completionWarning(completions, burst: min(possible, burst)))
    warnings.append(AreaSizing.lockedWarning(demand, lockedBytes))
    self.warnings = warnings.compactMap { $0 }
  }
}

extension AreaSizing {
  /// Counts as people could mean them: what is larger has run out of any machine.
  private static func clamped(_ count: Int) -> Int { max(0, min(count, 1 << 24)) }

  private static func perQueue(_ demand: Demand) -> Int {
    clamped(demand.ringBuffers) + clamped(demand.poolBuffers)
  }

  private static func needs(_ demand: Demand) -> [Term] {
    let length = demand.bufferLength
    let queues = clamped(demand.queues)
    let unread = max(0, min(demand.unreadBytes, 1 << 40))
    return [
      Term(
        buffers: queues * clamped(demand.ringBuffers), name: "NIC ring",
        consequence: "the NIC cannot fill its ring"),
      Term(
        buffers: queues * clamped(demand.poolBuffers), name: "page-pool cache",
        consequence: "none may be left to receive into"),
      Term(
        buffers: clamped(demand.spareBuffers), name: "for copies",
        consequence: "payload that was not split waits for a buffer to be copied into"),
      Term(
        buffers: clamped(demand.heldLeases), name: "held",
        consequence: "stages that hold leases can leave the NIC without buffers"),
      Term(
        buffers: clamped(demand.connections) * ((unread + length - 1) / length), name: "unread",
        consequence: "sockets that are read too late can leave the NIC without buffers"),
    ].filter { $0.buffers > 0 }
  }

  private static func rest(_ buffers: Int, isGiven: Bool) -> [Term] {
    guard buffers > 0 else { return [] }
    return [Term(buffers: buffers, name: isGiven ? "beyond that" : "rounding", consequence: "")]
  }

  /// The power of two that holds `count`, within bounds.
  private static func entries(_ count: Int, least: Int, most: Int) -> Int {
    var entries = least
    while entries < min(count, most) { entries *= 2 }
    return entries
  }

  private static func locked(_ demand: Demand, area: Int, refill: Int) -> Int {
    let page = max(demand.pageBytes, 4096)
    let region = (refill * 16 + 256 + 4095) / 4096 * 4096
    return max(clamped(demand.areas), 1) * ((area + page - 1) / page * page + region)
  }
}
