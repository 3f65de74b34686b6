import IngestTestSupport
import Testing

@testable import Ingest
@testable import NICControl
@testable import ZeroCopy

@Suite("how received bytes came into the area")
struct ByteTruthTests {
  /// What happened, of which the evidence tells only a part.
  struct Happened {
    var placed: UInt64
    var fragment: UInt64
    var linear: UInt64
    var bytes: UInt64 { placed + fragment + linear }
  }

  @Test("the classes sum up, and nothing is proven that did not happen", arguments: 1...1000)
  func bounds(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    func some(_ most: UInt64) -> UInt64 {
      Bool.random(using: &random) ? 0 : UInt64.random(in: 0...most, using: &random)
    }
    let real = Happened(placed: some(1 << 30), fragment: some(1 << 20), linear: some(1 << 20))
    var evidence = ByteEvidence()
    evidence.source = .queue
    evidence.bytes = real.bytes
    evidence.placed = UInt64.random(in: 0...real.placed, using: &random)
    if Bool.random(using: &random) { evidence.fragment = real.fragment }
    // The NIC counts retransmissions and other traffic as well.
    if Bool.random(using: &random) { evidence.unsplit = real.linear + some(1 << 16) }
    if Bool.random(using: &random) { evidence.split = real.placed + some(1 << 16) }
    let truth = evidence.truth
    #expect(truth.total == real.bytes)
    #expect(truth.zeroCopy <= real.placed && truth.zeroCopy >= evidence.placed)
    #expect(truth.copiedLinear <= real.linear)
    #expect(truth.copiedFragment == (evidence.fragment ?? 0))
    #expect(truth.copiedReceive == 0)
  }

  @Test("counters that tell everything leave nothing unknown")
  func everything() {
    var evidence = ByteEvidence()
    evidence.source = .queue
    evidence.bytes = 1000
    evidence.fragment = 100
    #expect(evidence.truth.unknown == 900)
    evidence.unsplit = 50
    #expect(evidence.truth.zeroCopy == 850 && evidence.truth.unknown == 50)
    evidence.split = 850
    #expect(evidence.truth.copiedLinear == 50 && evidence.truth.unknown == 0)
    evidence.unsplit = 2000
    #expect(evidence.truth.zeroCopy == 0 && evidence.truth.unknown == 850)
  }

  @Test("without a kernel that counts copies only the place in a buffer proves anything")
  func oldKernel() {
    var evidence = ByteEvidence()
    evidence.source = .queue
    evidence.bytes = 1000
    evidence.placed = 300
    evidence.unsplit = 0
    #expect(evidence.truth.zeroCopy == 300 && evidence.truth.unknown == 700)
  }

  @Test("the other engines")
  func engines() {
    var evidence = ByteEvidence()
    evidence.bytes = 1000
    #expect(evidence.truth.copiedReceive == 1000)
    evidence.source = .unreachable
    #expect(evidence.truth.zeroCopy == 1000)
    evidence.source = .deviceless
    #expect(evidence.truth.unknown == 1000)
    evidence.fragment = 700
    #expect(evidence.truth.copiedFragment == 700 && evidence.truth.copiedLinear == 300)
  }

  @Test("threads of one queue: one knows what the kernel counted for all")
  func threads() {
    var owner = EngineCounters()
    owner.source = .deviceless
    owner.bytes = 10
    owner.countsCopies = 1
    owner.copiedFragmentBytes = 70
    var guest = EngineCounters()
    guest.source = .deviceless
    guest.bytes = 90
    let truth = ByteEvidence([owner, guest], nil).truth
    #expect(truth.copiedFragment == 70 && truth.copiedLinear == 30)
    #expect(ByteEvidence(owner).truth.total == 10)
  }

  @Test("what a NIC counts, by its driver's names and queues")
  func counters() throws {
    let statistics = [
      ("rx0_hds_nosplit_bytes", 5), ("rx1_hds_nosplit_bytes", 7), ("rx_hds_nosplit_bytes", 12),
      ("rx1_hds_nosplit_packets", 1), ("rx1_bytes", 99),
    ].map { DriverStatistic(name: $0.0, value: $0.1) }
    func split(_ driver: String, _ queues: [UInt32]?) -> SplitStatistics? {
      SplitStatistics(statistics, driver: driver, queues: queues)
    }
    #expect(split("mlx5_core", [1])?.unsplitBytes == 7)
    #expect(split("mlx5_core", nil)?.unsplitBytes == 12)
    #expect(split("mlx5_core", [1, 2]) == nil)
    #expect(split("bnxt_en", nil) == nil)
    #expect(split("mlx5_core", nil)?.splitBytes == nil)
    let before = try #require(split("mlx5_core", [0]))
    let after = try #require(split("mlx5_core", [1]))
    #expect(after.since(before)?.unsplitBytes == 2)
    #expect(before.since(after) == nil)
  }

  @Test("how a limit is spelled")
  func limits() {
    #expect(CopyLimit(rawValue: "5%")?.share == 0.05)
    #expect(CopyLimit(rawValue: "0.05")?.share == 0.05)
    #expect(CopyLimit(rawValue: "0%")?.share == 0)
    for text in ["", "%", "101%", "1.5", "-1%", "5 %", "nan", "NaN%"] {
      #expect(CopyLimit(rawValue: text) == nil, "\(text)")
    }
    var truth = ByteTruth()
    truth.zeroCopy = 95
    truth.unknown = 5
    #expect(CopyLimit(rawValue: "5%")?.allows(truth) == true)
    #expect(CopyLimit(rawValue: "4.9%")?.allows(truth) == false)
    #expect(CopyLimit.none.allows(ByteTruth()))
  }
}
