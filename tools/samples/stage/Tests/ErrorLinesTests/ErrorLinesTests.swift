import ErrorLines
import Ingest
import Stages
import Testing

@Test(arguments: UInt64(0)..<100)
func onlyErrorsComeThrough(seed: UInt64) {
  var simulation = Simulation(seed: seed)
  simulation.longestLease = 1 + Int(seed % 40)
  let outcome = simulation.run(
    [SimulatedStream("I1121 up\nE1121 disk full\n\nF1121 gone\n"), SimulatedStream("GET /\nE\n")],
    parse: LinesFramer(), stage: ErrorLines())
  #expect(
    outcome.records[0].map { String(decoding: $0, as: UTF8.self) }
      == ["E1121 disk full", "F1121 gone"])
  #expect(outcome.records[1].isEmpty)
  #expect(outcome.faultSentences.count == 1)
  #expect(outcome.stage.errors == 2)
  #expect(outcome.problems.isEmpty)
}
