import CIngestKernel
import Glibc
import IngestTestSupport
import RingCore
import Testing
import ZeroCopy

/// The same property as ``PressurePropertyTests``, on this machine's own kernel: sizes from the
/// smallest that there are, by seed.
@Suite struct EngineSizesTests {
  static func setup(_ kind: EngineSetup.Kind, _ random: inout SeededGenerator) -> EngineSetup {
    var setup = EngineSetup(kind)
    setup.completions = 8 << UInt32.random(in: 0...6, using: &random)
    setup.refill = 8 << UInt32.random(in: 0...6, using: &random)
    setup.options.waitBatch = UInt32.random(in: 1...16, using: &random)
    setup.options.minimumWait = Bool.random(using: &random) ? 200 : 0
    switch kind {
    case .copy:
      setup.bufferSize = 4096 << Int.random(in: 0...4, using: &random)
      setup.buffers = random.logUniform(upTo: 64)
    case .nodev: setup.buffers = random.logUniform(upTo: 256)
    // A NIC's ring takes its share before anything comes.
    case .zcrx: setup.buffers = 4096 + random.logUniform(upTo: 4096)
    }
    return setup
  }

  @Test(arguments: EngineSetup.Kind.each)
  func allBytesOnceAndInOrderForEverySize(kind: EngineSetup.Kind) throws {
    for seed in 0..<200 as Range<UInt64> {
      var random = SeededGenerator(seed: seed)
      let setup = Self.setup(kind, &random)
      let streams = Int.random(in: 1...3, using: &random)
      let size = UInt64(random.logUniform(upTo: 200_000))
      let run = try EngineRun(setup, connections: UInt64(streams))
      let endpoint = run.endpoint
      let clients = (0..<streams).map { _ in
        TestThread {
          let client = LoopbackClient(to: endpoint)
          #expect(client.send(pattern(0..<size)))
        }
      }
      for client in clients { client.join() }
      let result = try run.finish()
      let said: Comment =
        "seed \(seed), \(kind): \(setup.completions) completions, \(setup.buffers) buffers"
      #expect(result.stage.mismatches == 0, said)
      #expect(result.counters.bytes == size * UInt64(streams), said)
      #expect(result.stage.ends.allSatisfy { $0 == .finished }, said)
      #expect(result.home, said)
    }
  }
}
