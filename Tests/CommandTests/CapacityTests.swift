import CommandSupport
import Testing

/// The model against sums done by hand.
@Suite struct CapacityTests {
  private static func near(_ value: Double, _ wanted: Double) -> Bool {
    abs(value - wanted) <= abs(wanted) * 1e-4
  }

  /// Without the price that completions have until it is measured.
  private static var free: CapacityCosts {
    var costs = CapacityCosts()
    costs.completionNanoseconds = 0
    return costs
  }

  private static func wish(_ change: (inout CapacityWish) -> Void = { _ in }) -> CapacityWish {
    var wish = CapacityWish()
    wish.bitsPerSecond = 200e9
    change(&wish)
    return wish
  }

  /// 25e9 bytes ÷ 4096 are 6.1 million, and a second has 1e9 ns for them.
  @Test func fourKiBAtTwoHundredGigabits() {
    let plan = CapacityPlan(CapacityTests.wish(), CapacityTests.free)
    #expect(plan.completionsPerSecond == 6_103_515.625)
    #expect(CapacityTests.near(plan.nanosecondsPerCompletion, 163.84))
    #expect(plan.packetsPerSecond == nil)
    #expect(CapacityTests.near(plan.recordsPerSecond, 381_469.7))
    #expect(plan.first?.limiter == .link)
    #expect(plan.first?.headroom == 1)
  }

  /// A packet of 4096 bytes carries 4044, and takes 4134 on the wire: less than a buffer of payload
  /// each, so a completion each.
  @Test func headersTakeTheirShare() {
    let plan = CapacityPlan(CapacityTests.wish { $0.mtu = 4096 }, CapacityCosts())
    #expect(CapacityTests.near(plan.bytesPerSecond, 25e9 * 4044 / 4134))
    #expect(CapacityTests.near(plan.packetsPerSecond ?? 0, 6_047_412))
    #expect(plan.completionsPerSecond == plan.packetsPerSecond)
    // 9000: 8948 bytes of payload lie in three buffers of 4 KiB, and are counted as 2.2.
    let jumbo = CapacityPlan(CapacityTests.wish { $0.mtu = 9000 }, CapacityCosts())
    #expect(CapacityTests.near(jumbo.completionsPerSecond, 25e9 * 8948 / 9038 / 4096))
  }

  /// 24.4 million KiB a second: 60 ns for each are 1.46 cores.
  @Test func coresFollowTheCosts() {
    var costs = CapacityTests.free
    costs.parts = [.init("parse", 2), .init("checksum", 60), .init("sink", 0.5)]
    costs.completionNanoseconds = 20
    costs.kernelNanosecondsPerKiB = 10
    costs.systemCallsPerCompletion = 0.125
    costs.softInterruptNanosecondsPerKiB = 30
    costs.senderNanosecondsPerKiB = 50
    let plan = CapacityPlan(CapacityTests.wish(), costs)
    // 24.414e6 × 62.5 ns + 6.1035e6 × 20 ns.
    #expect(CapacityTests.near(plan.cores.application, 1.525879 + 0.122070))
    // 24.414e6 × 10 ns + 6.1035e6 ÷ 8 × 120 ns.
    #expect(CapacityTests.near(plan.cores.kernel, 0.244141 + 0.091553))
    #expect(CapacityTests.near(plan.cores.softInterrupts, 0.732422))
    #expect(CapacityTests.near(plan.cores.sender, 1.220703))
    #expect(CapacityTests.near(plan.systemCallsPerSecond, 762_939.5))
    // 1.983643 cores × 1.25 are 2.48: three threads.
    #expect(plan.threadsNeeded == 3)
    // One thread carries 200 ÷ 1.983643 Gbit/s; the checksum has 1.465 of its 1.984 cores.
    #expect(plan.first?.limiter == .stage("checksum"))
    #expect(CapacityTests.near(plan.first?.bitsPerSecond ?? 0, 100.8246e9))
    #expect(CapacityTests.near(plan.first?.headroom ?? 0, 0.504123))
    #expect(plan.ceilings.map(\.limiter) == [.stage("checksum"), .sender, .link, .softInterrupts])
  }

  /// Packets cost by their number, so small ones cost more for the same bytes.
  @Test func packetsHaveTheirPrice() {
    var costs = CapacityTests.free
    costs.packetNanoseconds = 100
    let plan = CapacityPlan(CapacityTests.wish { $0.mtu = 1500 }, costs)
    // 25e9 × 1448 ÷ 1538 bytes in packets of 1448: 16.255 million.
    #expect(CapacityTests.near(plan.cores.softInterrupts, 1.625488))
    #expect(plan.first?.limiter == .softInterrupts)
  }

  /// 25e9 bytes/s × 1 ms × 1.25 are 7630 buffers, beside the 1024 that are posted.
  @Test func areaIsRateTimesHold() {
    var costs = CapacityTests.free
    costs.longestHoldSeconds = 0.001
    let plan = CapacityPlan(CapacityTests.wish(), costs)
    #expect(plan.areaBytes == (7630 + 1024) * 4096)
    #expect(plan.refillEntries == 8192)
    #expect(plan.completionEntries == 8192)
    let none = CapacityPlan(CapacityTests.wish(), CapacityCosts())
    #expect(none.areaBytes == 1024 * 4096)
    #expect(none.refillEntries == 64 && none.completionEntries == 256)
    // Four threads share the rate.
    let four = CapacityPlan(CapacityTests.wish { $0.threads = 4 }, costs)
    #expect(four.areaBytes == (1908 + 1024) * 4096)
    #expect(four.refillEntries == 2048)
    // The kernel's limits.
    costs.longestHoldSeconds = 1
    let long = CapacityPlan(CapacityTests.wish(), costs)
    #expect(long.refillEntries == 32768 && long.completionEntries == 65536)
  }

  /// 16 MiB less 4 MiB that are posted, held for 10 ms: 1.26e9 bytes/s.
  @Test func tooSmallAnAreaIsTheLimiter() {
    var costs = CapacityTests.free
    costs.meanHoldSeconds = 0.01
    let plan = CapacityPlan(CapacityTests.wish { $0.areaBytes = 16 << 20 }, costs)
    #expect(plan.first?.limiter == .ring(.area))
    #expect(CapacityTests.near(plan.first?.bitsPerSecond ?? 0, 12_582_912 * 100 * 8))
  }

  /// Without a rate the plan is for what the costs allow.
  @Test func withoutARateTheLowestCeilingIsIt() {
    var costs = CapacityTests.free
    costs.kernelNanosecondsPerKiB = 100
    costs.copiedShare = 1
    costs.senderNanosecondsPerKiB = 50
    let plan = CapacityPlan(CapacityTests.wish { $0.bitsPerSecond = nil }, costs)
    #expect(plan.first?.limiter == .copies)
    #expect(CapacityTests.near(plan.bytesPerSecond, 10.24e9))
    #expect(CapacityTests.near(plan.cores.kernel, 1))
    #expect(plan.first?.headroom == nil)
    costs.copiedShare = 0
    #expect(CapacityPlan(CapacityTests.wish(), costs).first?.limiter == .application)
  }

  @Test func nothingMeasuredPromisesNothing() {
    let plan = CapacityPlan(CapacityWish(), CapacityCosts())
    // A completion has its price: 10 ns for each 4 KiB.
    #expect(plan.first?.limiter == .application)
    #expect(CapacityTests.near(plan.bytesPerSecond, 409.6e9))
    let none = CapacityPlan(CapacityWish(), CapacityTests.free)
    #expect(none.ceilings.isEmpty && none.bytesPerSecond == 0 && none.threadsNeeded == 1)
  }
}
