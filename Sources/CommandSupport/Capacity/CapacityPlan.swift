import ZeroCopy

/// What a rate asks of a host, from costs that were measured: pure arithmetic.
///
/// Formulas, with B for payload bytes per second:
/// - B = bits/s ÷ 8 × payload share of a packet. 200 Gbit/s without headers: 25.0e9 bytes/s.
/// - packets/s = B ÷ (MTU − 52).
/// - completions/s = B ÷ min(buffer, payload of a packet): zero-copy receive posts one completion
///   for each fragment, which lies in one buffer (io_uring/zcrx.c, io_zcrx_recv_frag). 4 KiB at 200
///   Gbit/s: 6.1 million/s, which leaves 164 ns for each on one core.
/// - cores of a part = B ÷ 1024 × its nanoseconds per KiB ÷ 1e9, and alike for what is counted per
///   completion, packet or system call (utilisation law: throughput × service time).
/// - area = B × longest hold × headroom + posted buffers, and an area is full at the B whose B ×
///   mean hold it is (Little's law: in use = rate × time).
/// - a limiter's ceiling = B × (cores there are ÷ cores needed); the lowest comes first.
package struct CapacityPlan: Encodable, Equatable, Sendable {
  /// The rate at which one thing would be used up.
  package struct Ceiling: Encodable, Equatable, Sendable {
    package var limiter: Limiter
    /// Payload.
    package var bitsPerSecond: Double
    /// What it has over what the wish needs; below 1 it is too little. Missing without a rate.
    package var headroom: Double?
  }

  /// Shares of cores: 2.5 is two and a half.
  package struct Cores: Encodable, Equatable, Sendable {
    /// The receiving threads' own code: leases, parse, checksum, stages, sink.
    package var application = 0.0
    /// The receiving threads within the kernel.
    package var kernel = 0.0
    package var softInterrupts = 0.0
    package var sender = 0.0
  }

  package let wish: CapacityWish
  package let costs: CapacityCosts
  /// Payload bytes per second that are planned for.
  package let bytesPerSecond: Double
  package let packetsPerSecond: Double?
  package let completionsPerSecond: Double
  package let recordsPerSecond: Double
  package let systemCallsPerSecond: Double
  /// Time that one core has for a completion.
  package let nanosecondsPerCompletion: Double
  package let cores: Cores
  /// Receiving threads that the rate needs, with headroom.
  package let threadsNeeded: Int
  /// Bytes of area per thread, and entries of its rings: powers of two.
  package let areaBytes: Int
  package let refillEntries: Int
  package let completionEntries: Int
  /// Lowest first.
  package let ceilings: [Ceiling]

  /// Without a rate, what is planned for is the lowest ceiling itself.
  package init(_ wish: CapacityWish, _ costs: CapacityCosts) {
    self.wish = wish
    self.costs = costs
    // Ceilings scale: they are worked out for one byte per second, then compared with the wish.
    let unit = CapacityPlan.cores(wish, costs, bytesPerSecond: 1)
    let asked = wish.bitsPerSecond.map { $0 / 8 * wish.payloadShare }
    let ceilings = CapacityPlan.ceilings(wish, costs, unit, asked: asked)
    let bytes = asked ?? (ceilings.first?.bitsPerSecond ?? 0) / 8
    self.ceilings = ceilings
    bytesPerSecond = bytes
    cores = CapacityPlan.cores(wish, costs, bytesPerSecond: bytes)
    packetsPerSecond = wish.packetPayload.map { bytes / Double($0) }
    completionsPerSecond = bytes * CapacityPlan.completionsPerByte(wish)
    recordsPerSecond = bytes / Double(max(wish.recordBytes, 1))
    systemCallsPerSecond = completionsPerSecond * costs.systemCallsPerCompletion
    let threads = Double(max(wish.threads, 1))
    nanosecondsPerCompletion =
      completionsPerSecond > 0 ? 1e9 * threads / completionsPerSecond : .infinity
    let needed = (cores.application + cores.kernel) * wish.headroom
    threadsNeeded = max(1, Int(min(needed, 1e6).rounded(.up)))

    let sizing = CapacityPlan.sizing(wish, costs, bytesPerSecond: bytes / threads)
    areaBytes = sizing.area
    refillEntries = sizing.refill
    completionEntries = sizing.completions
  }

  /// What comes first.
  package var first: Ceiling? { ceilings.first }
}

extension CapacityPlan {
  static func completionsPerByte(_ wish: CapacityWish) -> Double {
    let piece = min(wish.bufferBytes, wish.packetPayload ?? wish.bufferBytes)
    return 1 / Double(max(piece, 1))
  }

  static func cores(_ wish: CapacityWish, _ costs: CapacityCosts, bytesPerSecond: Double) -> Cores {
    let kib = bytesPerSecond / 1024
    let completions = bytesPerSecond * completionsPerByte(wish)
    let packets = wish.packetPayload.map { bytesPerSecond / Double($0) } ?? 0
    let calls = completions * costs.systemCallsPerCompletion
    var cores = Cores()
    cores.application =
      (kib * (costs.chainNanosecondsPerKiB + costs.otherNanosecondsPerKiB)
        + completions * costs.completionNanoseconds) / 1e9
    cores.kernel =
      (kib * costs.kernelNanosecondsPerKiB + calls * costs.systemCallNanoseconds) / 1e9
    cores.softInterrupts =
      (kib * costs.softInterruptNanosecondsPerKiB + packets * costs.packetNanoseconds) / 1e9
    cores.sender = kib * costs.senderNanosecondsPerKiB / 1e9
    return cores
  }

  /// What would be used up at which rate, lowest first; what costs nothing has no ceiling.
  private static func ceilings(
    _ wish: CapacityWish, _ costs: CapacityCosts, _ unit: Cores, asked: Double?
  ) -> [Ceiling] {
    var found: [(Limiter, Double)] = []
    func add(_ limiter: Limiter, _ available: Int, _ perByte: Double) {
      if perByte > 0 { found.append((limiter, Double(max(available, 1)) / perByte)) }
    }
    add(thread(costs, unit), wish.threads, unit.application + unit.kernel)
    add(.softInterrupts, wish.softInterruptCPUs, unit.softInterrupts)
    add(.sender, wish.senderThreads, unit.sender)
    if let asked { found.append((.link, asked)) }
    if let area = wish.areaBytes, costs.meanHoldSeconds > 0 {
      // What the NIC has posted holds no data that a stage could give back.
      let usable = max(area - wish.ringBuffers * wish.bufferBytes, wish.bufferBytes)
      found.append((.ring(.area), Double(usable * max(wish.threads, 1)) / costs.meanHoldSeconds))
    }
    return found.sorted { $0.1 < $1.1 }.map { limiter, bytes in
      Ceiling(limiter: limiter, bitsPerSecond: bytes * 8, headroom: asked.map { bytes / $0 })
    }
  }

  /// What the receiving thread's time goes into, when that is used up: the same order of judgement
  /// as ``SaturationRule``.
  private static func thread(_ costs: CapacityCosts, _ unit: Cores) -> Limiter {
    let all = unit.application + unit.kernel
    if unit.kernel >= all * SaturationRule.kernelShare {
      return costs.copiedShare >= SaturationRule.copiedShare ? .copies : .application
    }
    let dearest = costs.dearest
    let perByte = (dearest?.nanosecondsPerKiB ?? 0) / 1024 / 1e9
    if let dearest, perByte >= all * SaturationRule.partShare { return .stage(dearest.name) }
    return .application
  }

  /// Sizes for one thread. The rings follow ``AreaSizing``: each lease out owes an entry of the
  /// refill ring, each buffer in use may have a completion.
  private static func sizing(
    _ wish: CapacityWish, _ costs: CapacityCosts, bytesPerSecond: Double
  ) -> (area: Int, refill: Int, completions: Int) {
    let buffer = max(wish.bufferBytes, 1)
    let inUse = bytesPerSecond * costs.longestHoldSeconds * wish.headroom
    // Beyond 2^40 bytes no area is made, whatever is asked for.
    let used = Int(min(inUse / Double(buffer), 0x1p40 / Double(buffer)).rounded(.up))
    let buffers = used + max(wish.ringBuffers, 0)
    let leases = Int(
      min(inUse * completionsPerByte(wish), Double(AreaSizing.completionLimit)).rounded(.up))
    return (
      area: buffers * buffer,
      refill: powerOfTwo(max(used, leases), least: 64, most: AreaSizing.refillLimit),
      completions: powerOfTwo(max(used, leases), least: 256, most: AreaSizing.completionLimit)
    )
  }

  static func powerOfTwo(_ count: Int, least: Int, most: Int) -> Int {
    var entries = least
    while entries < min(count, most) { entries *= 2 }
    return entries
  }
}
