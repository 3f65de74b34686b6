import IngestTestSupport
import RingCore
import Testing

@testable import ZeroCopy

@Suite struct AreaSizingTests {
  /// 1024 + 192 + 64 + 4096 buffers of 4 KiB: 21 MiB to the buffer.
  @Test func theDefaultIsASumThatCanBeShown() {
    var demand = AreaSizing.Demand()
    demand.unreadBytes = 0
    let sizing = AreaSizing(demand)
    #expect(sizing.layout.byteCount == 21 << 20)
    #expect(sizing.wantedBuffers == 5376)
    #expect(sizing.warnings == [])
    #expect(
      sizing.spelled
        == "area 21 MiB = 1024 x 4 KiB NIC ring + 192 page-pool cache + 64 for copies + 4096 held; "
        + "refill ring 16384 entries, completion queue 16384")
    #expect(
      sizing.lines == [
        "  1024  NIC ring", "   192  page-pool cache", "    64  for copies", "  4096  held",
        "  5376  buffers of 4 KiB: an area of 21 MiB",
        "refill ring: 16384 entries, for the 12480 leases that may be out",
        "completion queue: 16384 entries", "locked memory: 21764 KiB",
      ])
  }

  /// A socket's buffers are counted whole, so a started one is one more.
  @Test func unreadDataIsCountedInWholeBuffers() {
    var demand = AreaSizing.Demand()
    demand.bufferLength = 65536
    demand.connections = 10
    demand.unreadBytes = 65537
    let sizing = AreaSizing(demand)
    #expect(sizing.terms.first { $0.name == "unread" }?.buffers == 20)
    demand.unreadBytes = 65536
    #expect(AreaSizing(demand).terms.first { $0.name == "unread" }?.buffers == 10)
    demand.unreadBytes = 0
    #expect(!AreaSizing(demand).terms.contains { $0.name == "unread" })
  }

  /// Ring and caches are each queue's own.
  @Test func queuesTakeFromOneArea() {
    var demand = AreaSizing.Demand()
    demand.queues = 3
    let terms = AreaSizing(demand).terms
    #expect(terms[0].buffers == 3 * 1024)
    #expect(terms[1].buffers == 3 * 192)
    #expect(terms[3].buffers == 4096)
  }

  @Test(
    arguments: [(4096, 4096, 21 << 20), (4096, 2 << 20, 22 << 20), (4096, 1 << 30, 1 << 30)])
  func areasAreWholePagesOfTheirMemory(length: Int, page: Int, bytes: Int) {
    var demand = AreaSizing.Demand()
    demand.bufferLength = length
    demand.pageBytes = page
    let sizing = AreaSizing(demand)
    #expect(sizing.layout.byteCount == bytes)
    #expect(sizing.terms.reduce(0) { $0 + $1.buffers } == Int(sizing.layout.bufferCount))
    #expect((sizing.terms.last?.name == "rounding") == (bytes != 21 << 20))
  }

  /// 1 GiB before Linux 7.2; what does not fit is named, and it is the last to be served.
  @Test func theKernelsLimitIsKept() {
    var demand = AreaSizing.Demand()
    demand.areaLimit = 1 << 30
    demand.connections = 4096
    demand.unreadBytes = 1 << 20
    let sizing = AreaSizing(demand)
    #expect(sizing.layout.byteCount == 1 << 30)
    #expect(sizing.wantedBuffers == 5376 + (1 << 20))
    #expect(
      sizing.warnings == [
        "an area of 1 GiB is 262144 buffers of 4 KiB where 1053952 are wanted: of 1048576 unread "
          + "it has 256768, so sockets that are read too late can leave the NIC without buffers",
        "a refill ring of 32768 entries, the most there can be, is less than the 69632 leases that "
          + "may be out: what finds no room waits until the kernel has read some",
        "a completion queue of 65536 entries, the most there can be, is less than the 782784 "
          + "completions that may come at a time: receives that find it full end, and are armed "
          + "again",
      ])
    #expect(sizing.spelled.hasPrefix("area 1 GiB, wanted 1024 x 4 KiB NIC ring + "))
    demand.areaLimit = 1 << 40
    #expect(AreaSizing(demand).layout.byteCount == AreaLayout.limit)
  }

  /// The first buffer that a term lacks, with each size up to it.
  @Test(
    arguments: [
      (1, "of 1024 NIC ring it has 1, so the NIC cannot fill its ring"),
      (1023, "of 1024 NIC ring it has 1023,"),
      (1024, "of 192 page-pool cache it has 0,"),
      (1215, "of 192 page-pool cache it has 191,"),
      (1216, "of 64 for copies it has 0,"),
      (1280, "of 4096 held it has 0,"),
      (5375, "of 4096 held it has 4095,"),
    ])
  func aSizeThatIsTooSmallNamesWhatItLacks(buffers: Int, words: String) {
    var demand = AreaSizing.Demand()
    demand.areaBytes = buffers * 4096
    let sizing = AreaSizing(demand)
    #expect(sizing.layout.bufferCount == UInt32(buffers))
    #expect(sizing.warnings.count == 1)
    #expect(sizing.warnings.first?.contains(words) == true, "\(sizing.warnings)")
    #expect(sizing.warnings.first?.contains("where 5376 are wanted") == true)
  }

  @Test func aSizeThatIsEnoughIsTakenAsItIs() {
    var demand = AreaSizing.Demand()
    demand.areaBytes = 5376 * 4096
    #expect(AreaSizing(demand).warnings == [])
    // Buffers are whole; what is over is not used.
    demand.areaBytes = 5377 * 4096 + 4095
    let sizing = AreaSizing(demand)
    #expect(sizing.layout.bufferCount == 5377)
    #expect(sizing.terms.last == AreaSizing.Term(buffers: 1, name: "beyond that", consequence: ""))
    demand.areaBytes = 0
    #expect(AreaSizing(demand).layout.bufferCount == 1)
  }

  @Test func aSizeAboveTheLimitSaysWhoseLimitItIs() {
    var demand = AreaSizing.Demand()
    demand.areaBytes = 2 << 30
    demand.areaLimit = 1 << 30
    let old = AreaSizing(demand)
    #expect(old.layout.byteCount == 1 << 30)
    #expect(
      old.warnings.first
        == "an area of 2 GiB is more than the 1 GiB that this kernel takes (Linux 7.2 and newer "
        + "take 4 GiB)")
    demand.areaBytes = 8 << 30
    demand.areaLimit = 1 << 32
    let new = AreaSizing(demand)
    #expect(new.layout.byteCount == 4 << 30)
    #expect(new.warnings.first?.contains("they wrap after 32 bits") == true)
  }

  /// As many completions as one pass over the connections posts, or as there are buffers for.
  @Test func theCompletionQueueFollowsConnectionsAndBuffers() {
    var demand = AreaSizing.Demand()
    demand.connections = 1
    #expect(AreaSizing(demand).completionEntries == 512)
    demand.connections = 0
    #expect(AreaSizing(demand).completionEntries == 512)
    demand.connections = 1 << 20
    // 5376 - 1216 buffers of data with three packets each.
    #expect(AreaSizing(demand).completionEntries == 16384)
    demand.ringBuffers = 0
    demand.poolBuffers = 0
    demand.spareBuffers = 0
    demand.heldLeases = 0
    demand.areaBytes = 4096
    let least = AreaSizing(demand)
    #expect((least.completionEntries, least.refillEntries) == (256, 64))
    #expect(least.leasesOut == 3)
  }

  @Test func ringsThatAreGivenAreRoundedUpAndChecked() {
    var demand = AreaSizing.Demand()
    demand.refillEntries = 3000
    demand.completionEntries = 5000
    let sizing = AreaSizing(demand)
    #expect((sizing.refillEntries, sizing.completionEntries) == (4096, 8192))
    #expect(sizing.leasesOut == 4096 + 8192)
    #expect(
      sizing.warnings == [
        "a refill ring of 4096 entries is less than the 12288 leases that may be out: what finds "
          + "no room waits until the kernel has read some",
        "a completion queue of 8192 entries is less than the 12480 completions that may come at a "
          + "time: receives that find it full end, and are armed again",
      ])
    demand.refillEntries = 1 << 20
    demand.completionEntries = 1 << 20
    let most = AreaSizing(demand)
    #expect((most.refillEntries, most.completionEntries) == (32768, 65536))
    #expect(most.warnings == [])
  }

  @Test func lockedMemoryIsComparedToTheByte() {
    var demand = AreaSizing.Demand()
    let locked = AreaSizing(demand).lockedBytes
    // The area, and a refill ring of 16384 entries with its header and statistics.
    #expect(locked == (21 << 20) + 16384 * 16 + 4096)
    demand.lockedLimit = locked
    #expect(AreaSizing(demand).warnings == [])
    demand.lockedLimit = locked - 1
    let short = AreaSizing(demand).warnings
    #expect(short.count == 1)
    #expect(short.first?.contains("`ulimit -l 21764`") == true)
    demand.areas = 2
    #expect(AreaSizing(demand).lockedBytes == 2 * locked)
    // Whole pages of the memory behind it are locked, whatever the area takes of them.
    demand.pageBytes = 1 << 30
    demand.areaBytes = 21 << 20
    demand.areas = 1
    #expect(AreaSizing(demand).lockedBytes > 1 << 30)
  }

  /// Whatever is asked for, the answer can be registered.
  @Test func everyDemandHasAnAnswerWithinTheLimits() {
    var random = SeededGenerator(seed: 7)
    let extremes = [-1, 0, 1, 2, 17, 1000, 4096, 1 << 20, 1 << 40, .max, .min]
    withEvery("demand", in: 0..<2000) { _ in
      func any() -> Int { extremes[Int(random.next() % UInt64(extremes.count))] }
      var demand = AreaSizing.Demand()
      demand.bufferLength = 4096 << Int(random.next() % 19)
      demand.pageBytes = [4096, 2 << 20, 1 << 30][Int(random.next() % 3)]
      (demand.queues, demand.ringBuffers, demand.poolBuffers) = (any(), any(), any())
      (demand.spareBuffers, demand.heldLeases) = (any(), any())
      (demand.connections, demand.unreadBytes, demand.packetBytes) = (any(), any(), any())
      (demand.areas, demand.areaLimit) = (any(), [1 << 30, 1 << 32, any()][Int(random.next() % 3)])
      if random.next() % 2 == 0 { demand.areaBytes = any() }
      if random.next() % 2 == 0 { demand.refillEntries = any() }
      if random.next() % 2 == 0 { demand.completionEntries = any() }
      if random.next() % 2 == 0 { demand.lockedLimit = any() }
      let sizing = AreaSizing(demand)
      try #require(sizing.layout.byteCount <= AreaLayout.limit)
      try #require(Int(sizing.layout.bufferSize) == demand.bufferLength)
      try #require(sizing.refillEntries.nonzeroBitCount == 1)
      try #require(sizing.refillEntries <= AreaSizing.refillLimit)
      try #require(sizing.completionEntries.nonzeroBitCount == 1)
      try #require(sizing.completionEntries <= AreaSizing.completionLimit)
      let isEnough = Int(sizing.layout.bufferCount) >= sizing.wantedBuffers
      let lacks = sizing.warnings.contains { $0.contains(" are wanted: of ") }
      try #require(lacks == !isEnough)
      let sum = sizing.terms.reduce(0) { $0 + $1.buffers }
      try #require(sum == max(Int(sizing.layout.bufferCount), sizing.wantedBuffers))
      try #require(!sizing.spelled.isEmpty && sizing.lines.count >= 4)
    }
  }
}
