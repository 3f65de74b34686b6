import RingCore
import Stages

/// Passes on what does not start with a `#`; keeps leases for a while.
private struct Sieve: RecordStage, ~Copyable {
  static let name = "sieve"
  static var keepsLeases: Bool { true }
  var pool = LeasePool(capacity: 4)

  mutating func take(
    _ piece: Piece, payload: RawSpan, state: inout NoState, in batch: inout Batch
  ) throws(StageFault) -> StageAnswer {
    guard piece.first, payload.byteCount > 0 else { return .pass }
    let byte = unsafe payload.unsafeLoad(as: UInt8.self)
    if byte == UInt8(ascii: "!") { throw StageFault(1) }
    return byte == UInt8(ascii: "#") ? .drop : .pass
  }
  mutating func finish(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    if pool.isFull { pool.giveBackOldest(in: &batch) }
    return pool.keep(lease)
  }
  mutating func flush(in batch: inout Batch) { pool.giveBackOldest(in: &batch) }
  var pending: Int { pool.count }
}

/// Whether a chain over two threads gives what it gives on one.
func simulate(seed: UInt64) -> Bool {
  var random = SplitMix64(seed: seed)
  let streams = (0..<4).map { index in
    let lines = (0..<40).map { _ in
      (["#", "", "x"].randomElement(using: &random) ?? "")
        + String(repeating: "y", count: Int.random(in: 0...60, using: &random))
    }
    return SimulatedStream((index == 3 ? ["!"] : lines).joined(separator: "\n"))
  }
  var simulation = Simulation(seed: seed)
  simulation.bufferCount = 32
  simulation.longestLease = [5, 50, 4096][Int(seed % 3)]
  simulation.holdLimit = 8
  func records() -> ([[[UInt8]]], [String]) {
    let outcome = simulation.run(streams, parse: LinesFramer(), stage: Sieve())
    return (outcome.records, outcome.problems)
  }
  let inline = records()
  simulation.ringCapacity = 2 << Int(seed % 8)
  let spread = records()
  return inline == spread && spread.1.isEmpty
}
