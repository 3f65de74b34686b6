import Ingest
import IngestTestSupport
import RingCore
import Stages
import Testing

/// Lets go of records that start with a `#`, refuses streams in which one starts with `!`, and
/// tells of those that start with `?`.
private struct Judge: RecordStage {
  static let name = "judge"
  struct State: BitwiseCopyable {
    var records = 0
  }
  var records = 0
  var ended: [Int] = []
  var flushes = 0

  mutating func start(_ connection: Connection) -> State { State() }

  mutating func take(
    _ piece: Piece, payload: RawSpan, state: inout State, in batch: inout Batch
  ) throws(StageFault) -> StageAnswer {
    if piece.last { state.records += 1 }
    guard piece.first, payload.byteCount > 0 else { return .pass }
    records += 1
    switch unsafe payload.unsafeLoad(as: UInt8.self) {
    case UInt8(ascii: "#"): return .drop
    case UInt8(ascii: "!"): throw StageFault(UInt64(payload.byteCount))
    case UInt8(ascii: "?"): return .flawed(9)
    default: return .pass
    }
  }

  mutating func end(_ connection: Connection, _ end: StreamEnd, state: inout State) {
    ended.append(state.records)
  }
  mutating func flush(in batch: inout Batch) { flushes += 1 }
  static func sentence(for code: UInt64) -> String {
    code == 9 ? "is this a question" : "must not shout"
  }
}

/// Keeps leases for the batch, and sees whether one ever ends between the pieces of a lease.
private struct Whole: RecordStage, ~Copyable {
  static let name = "whole"
  static var keepsLeases: Bool { true }
  var isInside = false
  var flushes = 0
  var early = 0
  var pool = LeasePool(capacity: 64)

  mutating func take(
    _ piece: Piece, payload: RawSpan, state: inout NoState, in batch: inout Batch
  ) -> StageAnswer {
    isInside = true
    return .pass
  }
  mutating func finish(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    isInside = false
    return pool.keep(lease)
  }
  var pending: Int { pool.count }
  mutating func flush(in batch: inout Batch) {
    while pool.giveBackOldest(in: &batch) {}
    flushes += 1
    if isInside { early += 1 }
  }
}

/// Keeps the last leases, reads them later, gives the oldest back when there are too many.
private struct Window: RecordStage, ~Copyable {
  static let name = "window"
  static var keepsLeases: Bool { true }
  var pool: LeasePool
  /// What each kept lease looked like when it came.
  var sums: [UInt64] = []
  var differences = 0
  var leaks = false

  init(_ count: Int) { pool = LeasePool(capacity: count) }

  mutating func take(
    _ piece: Piece, payload: RawSpan, state: inout NoState, in batch: inout Batch
  ) -> StageAnswer { .pass }

  static func sum(_ bytes: RawSpan) -> UInt64 {
    (0..<bytes.byteCount).reduce(0) {
      $0 &* 31 &+ UInt64(unsafe bytes.unsafeLoad(fromByteOffset: $1, as: UInt8.self))
    }
  }

  mutating func finish(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    if pool.isFull { giveBackOldest(&batch) }
    sums.append(batch.area.withBytes(of: lease) { Window.sum($0) })
    return pool.keep(lease)
  }

  mutating func giveBackOldest(_ batch: inout Batch) {
    if pool.withBytes(at: 0, in: batch, { Window.sum($0) }) != sums.removeFirst() {
      differences += 1
    }
    pool.giveBackOldest(in: &batch)
  }

  mutating func flush(in batch: inout Batch) {
    // Some go back at every end of a batch, so that nothing stays for ever.
    if !pool.isEmpty && !leaks { giveBackOldest(&batch) }
  }

  var pending: Int { leaks ? 0 : pool.count }
}

@Suite("stages of one's own, in the simulation")
struct StageSimulationTests {
  private static func text(_ records: [[UInt8]]) -> [String] {
    records.map { String(decoding: $0, as: UTF8.self) }
  }

  @Test("records are passed on, dropped, told of; a stream is refused", arguments: 0..<60)
  func judged(seed: UInt64) {
    let streams = [
      SimulatedStream("one\n#two and more of it\nthree\n?four\n"),
      SimulatedStream("five\n!\nsix\n"),
      SimulatedStream("#gone\n#gone, too\nlast"),
    ]
    var simulation = Simulation(seed: seed)
    simulation.longestLease = [1, 3, 7, 4096][Int(seed % 4)]
    let outcome = simulation.run(streams, parse: LinesFramer(), stage: Judge())
    #expect(StageSimulationTests.text(outcome.records[0]) == ["one", "three", "?four"])
    #expect(StageSimulationTests.text(outcome.records[1]) == ["five"])
    #expect(StageSimulationTests.text(outcome.records[2]) == ["last"])
    #expect(outcome.problems.isEmpty)
    #expect(
      Set(outcome.faultSentences) == [
        "stage judge: is this a question", "stage judge: must not shout",
      ])
    let told = outcome.faults.first { $0.found == 9 }
    #expect(told?.connection == 1 && told?.record == 3 && told?.offset == 30)
    let refused = outcome.faults.first { $0.found != 9 }
    #expect(refused?.connection == 2 && refused?.record == 1 && refused?.offset == 5)
    #expect(outcome.stage.ended.count == 3)
    #expect(outcome.stage.flushes > 0)
  }

  @Test("two stages after each other, each with its own words", arguments: 0..<50)
  func pair(seed: UInt64) {
    let streams = [SimulatedStream("a\n#b\n?c\n"), SimulatedStream("!x\n")]
    let outcome = Simulation(seed: seed).run(
      streams, parse: LinesFramer(), stage: Judge().then(Judge()))
    #expect(StageSimulationTests.text(outcome.records[0]) == ["a", "?c"])
    #expect(outcome.stage.first.records == 4)
    // The second sees neither what the first dropped nor what it refused.
    #expect(outcome.stage.second.records == 2)
    #expect(
      Set(outcome.faultSentences) == [
        "stage judge+judge: judge: is this a question", "stage judge+judge: judge: must not shout",
      ])
  }

  @Test("kept leases keep their bytes, whatever else happens", arguments: 0..<60)
  func kept(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    let streams = (0..<4).map { _ in SimulatedStream(generator.bytes(6_000)) }
    var simulation = Simulation(seed: seed)
    simulation.bufferCount = 16
    let outcome = simulation.run(
      streams, parse: RawFramer(), stage: Window(6).then(Window(9)))
    #expect(outcome.problems.isEmpty)
    #expect(outcome.records.map(\.first) == streams.map(\.bytes))
    #expect(outcome.stage.first.differences == 0 && outcome.stage.second.differences == 0)
  }

  @Test("on another thread what comes out is the same", arguments: 0..<60)
  func spread(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    let streams = (0..<5).map { _ in
      let lines = (0..<60).map { _ in
        let start = ["#", "?", "", "x", "yes"].randomElement(using: &generator) ?? ""
        return start + String(repeating: "a", count: Int.random(in: 0...90, using: &generator))
      }
      return SimulatedStream(lines.joined(separator: "\n"))
    }
    var simulation = Simulation(seed: seed)
    simulation.longestLease = [3, 40, 4096][Int(seed % 3)]
    simulation.holdLimit = [1, 5, 64][Int(seed / 3 % 3)]
    func result() -> ([[[UInt8]]], [String], Set<UInt64>, UInt64) {
      let outcome = simulation.run(streams, parse: LinesFramer(), stage: Judge())
      let places = outcome.faults.map { $0.connection << 32 | $0.record }
      return (outcome.records, outcome.problems, Set(places), outcome.totals.records)
    }
    let inline = result()
    simulation.ringCapacity = 2 << Int(seed % 7)
    let spread = result()
    #expect(spread.0 == inline.0)
    #expect(inline.1.isEmpty && spread.1.isEmpty)
    #expect(spread.2 == inline.2)
    #expect(spread.3 == inline.3)
  }

  @Test(
    "no batch ends within a lease, however many pieces it has", .timeLimit(.minutes(2)),
    arguments: 0..<12)
  func whole(seed: UInt64) {
    // More pieces than another thread does at a time.
    let streams = (0..<2).map { _ in SimulatedStream([UInt8](repeating: 10, count: 6_000)) }
    var simulation = Simulation(seed: seed)
    simulation.ringCapacity = seed == 0 ? 0 : 2 << Int(seed)
    simulation.holdLimit = [1, 2, 64][Int(seed % 3)]
    let outcome = simulation.run(streams, parse: LinesFramer(), stage: Whole())
    #expect(outcome.problems.isEmpty)
    #expect(outcome.totals.records == 12_000)
    #expect(outcome.stage.flushes > 0 && outcome.stage.early == 0)
  }

  @Test("a stage on another thread refuses connections and keeps leases", arguments: 0..<50)
  func spreadRefuses(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var streams = (0..<4).map { _ in SimulatedStream(generator.bytes(5000)) }
    streams.append(SimulatedStream("good\n!bad\nnever seen\n"))
    var simulation = Simulation(seed: seed)
    simulation.bufferCount = 32
    simulation.ringCapacity = 2 << Int(seed % 9)
    let kept = simulation.run(streams, parse: RawFramer(), stage: Window(5))
    #expect(kept.problems.isEmpty)
    #expect(kept.records.map(\.first) == streams.map(\.bytes))
    #expect(kept.stage.differences == 0)
    let refused = simulation.run(
      [streams[4], SimulatedStream("fine\n")], parse: LinesFramer(), stage: Judge())
    #expect(refused.problems.isEmpty)
    #expect(refused.records.map { StageSimulationTests.text($0) } == [["good"], ["fine"]])
    #expect(refused.faultSentences == ["stage judge: must not shout"])
  }

  // In processes of their own: what they lose counts as dropped, and others look at that count.

  @Test("leases that a stage never gives back are told with its name and age")
  func leaked() async {
    await #expect(processExitsWith: .success) {
      var stage = Window(3)
      stage.leaks = true
      let outcome = Simulation(seed: 3).run(
        [SimulatedStream("some bytes\n")], parse: LinesFramer(), stage: stage)
      #expect(outcome.problems.count == 1)
      let text = outcome.problems.first ?? ""
      #expect(text.hasPrefix("stage window has kept or lost leases: "))
      #expect(text.contains("batch"))
    }
  }

  @Test("a stage that holds all there is gets stuck, and that is said")
  func stuck() async {
    await #expect(processExitsWith: .success) {
      var stage = Window(1000)
      stage.leaks = true
      var simulation = Simulation(seed: 4)
      simulation.bufferCount = 2
      simulation.holdLimit = 2000
      let outcome = simulation.run(
        [SimulatedStream([UInt8](repeating: 1, count: 50_000))], parse: RawFramer(), stage: stage)
      #expect(outcome.problems.first?.hasPrefix("nothing moves any more: stages hold") == true)
    }
  }

  @Test("the same seed gives the same run, another one another")
  func repeats() {
    func run(_ seed: UInt64) -> Int {
      Simulation(seed: seed).run(
        [SimulatedStream([UInt8](repeating: 10, count: 3000))], parse: RawFramer(), stage: Judge()
      ).stage.flushes
    }
    #expect(run(1) == run(1))
    #expect(Set((1...20).map { run($0) }).count > 1)
  }
}
