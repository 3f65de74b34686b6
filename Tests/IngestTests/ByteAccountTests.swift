import Ingest
import IngestTestSupport
import RingCore
import Stages
import Testing

/// Lets go of some records, refuses streams over others.
private struct Picky: RecordStage {
  static let name = "picky"

  mutating func take(
    _ piece: Piece, payload: RawSpan, state: inout NoState, in batch: inout Batch
  ) throws(StageFault) -> StageAnswer {
    guard piece.first, payload.byteCount > 0 else { return .pass }
    switch unsafe payload.unsafeLoad(as: UInt8.self) {
    case UInt8(ascii: "#"): return .drop
    case UInt8(ascii: "!"): throw StageFault(1)
    default: return .pass
    }
  }

  static func sentence(for code: UInt64) -> String { "a record that starts with ! is not wanted" }
}

@Suite("where received bytes went")
struct ByteAccountTests {
  /// Lines, of which some are dropped, some refused, and some longer than may be.
  private static func streams(_ random: inout SeededGenerator) -> [SimulatedStream] {
    (0..<5).map { _ in
      var bytes: [UInt8] = []
      for _ in 0..<Int.random(in: 1...120, using: &random) {
        let first =
          ["a", "a", "#", Int.random(in: 0..<60, using: &random) == 0 ? "!" : "b"]
          .randomElement(using: &random) ?? "a"
        let isLong = Int.random(in: 0..<200, using: &random) == 0
        bytes += Array(first.utf8)
        bytes += [UInt8](repeating: 120, count: isLong ? 700 : random.logUniform(upTo: 400))
        bytes.append(10)
      }
      return SimulatedStream(bytes, end: Bool.random(using: &random) ? .finished : .failed(104))
    }
  }

  @Test("every byte is in one count, whatever is refused or dropped", arguments: 1...300)
  func everyByteOnce(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let streams = Self.streams(&random)
    var simulation = Simulation(seed: seed)
    simulation.longestLease = [3, 60, 900, 4096][Int(seed % 4)]
    simulation.ringCapacity = seed % 3 == 0 ? 2 << Int(seed % 7) : 0
    let outcome = simulation.run(streams, parse: LinesFramer(max: 512), stage: Picky())
    #expect(outcome.problems.isEmpty)
    #expect(outcome.totals.accountedBytes == outcome.received, "\(outcome.totals)")
    if outcome.faults.isEmpty {
      #expect(outcome.totals.refusedBytes == 0)
      #expect(outcome.received == UInt64(streams.reduce(0) { $0 + $1.bytes.count }))
    }
  }

  @Test("what is refused and what is dropped are different counts")
  func kinds() {
    var simulation = Simulation(seed: 1)
    simulation.longestLease = 4096
    let text = "one\n#two\nthree\n!no\nnever\n"
    let outcome = simulation.run(
      [SimulatedStream(text)], parse: LinesFramer(), stage: Picky())
    #expect(outcome.totals.stageDroppedBytes == 5)
    #expect(outcome.totals.sinkBytes == 10)
    #expect(outcome.totals.accountedBytes == outcome.received)
    #expect(outcome.totals.refusedBytes == outcome.received - 15)
  }
}
