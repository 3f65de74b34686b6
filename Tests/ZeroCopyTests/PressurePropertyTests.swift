import CIngestKernel
import Glibc
import IngestTestSupport
import RingCore
import Testing

@testable import ZeroCopy

/// Follows each connection's bytes, holds some leases and gives them back in any order, and looks
/// at their bytes again before it does.
@safe
private struct HoldingStage: Stage, ~Copyable {
  private let held: UnsafeMutablePointer<Held?>
  private var count = 0
  private let limit: Int
  private let holdOneIn: Int
  private var random: SeededGenerator
  private var positions: [UInt64]
  private var starts: [UInt64: UInt64] = [:]
  private var idle = 0
  var mismatches = 0
  var ends: [StreamEnd] = []
  var bytes: UInt64 = 0

  init(connections: Int, limit: Int, holdOneIn: Int, seed: UInt64) {
    self.limit = limit
    self.holdOneIn = holdOneIn
    random = SeededGenerator(seed: seed)
    positions = Array(repeating: 0, count: connections)
    unsafe held = .allocate(capacity: limit)
    for index in 0..<limit { unsafe (held + index).initialize(to: nil) }
  }

  deinit {
    unsafe held.deinitialize(count: limit)
    unsafe held.deallocate()
  }

  mutating func take(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    idle = 0
    let slot = Int(lease.connection)
    var found = 0
    let start = positions[slot]
    batch.area.withBytes(of: lease) { span in
      for index in 0..<span.byteCount
      where unsafe span.unsafeLoad(fromByteOffset: index, as: UInt8.self)
        != PatternStage.byte(at: start + UInt64(index))
      { found += 1 }
    }
    mismatches += found
    positions[slot] += UInt64(lease.length)
    bytes += UInt64(lease.length)
    guard count < limit, Int.random(in: 0..<holdOneIn, using: &random) == 0 else {
      return lease.done()
    }
    starts[lease.offset] = start
    count += 1
    return lease.keep(into: &(unsafe held[count - 1]))
  }

  mutating func endBatch(in batch: inout Batch) {
    idle += 1
    var some = idle > 3 ? count : Int.random(in: 0...count, using: &random)
    while some > 0 {
      let index = Int.random(in: 0..<count, using: &random)
      if let one = unsafe held[index].take() { giveBack(one, in: &batch) }
      count -= 1
      if index != count { unsafe held[index] = held[count].take() }
      some -= 1
    }
  }

  private mutating func giveBack(_ one: consuming Held, in batch: inout Batch) {
    guard let start = starts.removeValue(forKey: one.offset) else {
      mismatches += 1
      return batch.giveBack(one)
    }
    // Nobody wrote over it while it was held.
    let bytes = unsafe batch.area.address(of: one.offset).assumingMemoryBound(to: UInt8.self)
    for index in 0..<Int(one.length)
    where unsafe bytes[index] != PatternStage.byte(at: start + UInt64(index)) { mismatches += 1 }
    batch.giveBack(one)
  }

  mutating func opened(_ connection: Connection, in batch: inout Batch) {
    positions[Int(connection.slot)] = 0
  }

  mutating func closed(_ connection: Connection, _ end: StreamEnd, in batch: inout Batch) {
    ends.append(end)
  }

  var pending: Int { count }
}

/// Every size from the smallest, every lack there is: all bytes come once and in order, all
/// buffers go back. The engine is the real one, on a kernel in memory.
@Suite("pressure")
struct PressurePropertyTests {
  /// Runs of each test; tools/gates/pressure has them run by the hundred thousand.
  private static let seeds: Range<UInt64> = {
    let text = unsafe getenv("INGEST_PROPERTY_SEEDS").map { unsafe String(cString: $0) }
    let ends = (text ?? "0-400").split(separator: "-").compactMap { UInt64($0) }
    return ends.count == 2 && ends[0] < ends[1] ? ends[0]..<ends[1] : 0..<400
  }()

  struct Sizes: CustomStringConvertible {
    var script = SimulatedKernel.Script()
    var buffers: UInt32
    var bufferSize: UInt32
    var refill: UInt32
    var holdLimit: Int
    var holdOneIn: Int

    init(seed: UInt64) {
      var random = SeededGenerator(seed: seed)
      script.seed = seed
      script.completions = 8 << UInt32.random(in: 0...4, using: &random)
      let connections = Int.random(in: 1...4, using: &random)
      script.streams = (0..<connections).map { _ in
        pattern(0..<UInt64(random.logUniform(upTo: 40_000)))
      }
      script.longestPacket = 1 << Int.random(in: 4...13, using: &random)
      script.unsplitOneIn = [0, 0, 1, 2, 10, 50][Int.random(in: 0..<6, using: &random)]
      script.endsPartialPasses = Bool.random(using: &random)
      bufferSize = 4096 << UInt32.random(in: 0...1, using: &random)
      buffers = UInt32(random.logUniform(upTo: 32)) + 1
      refill = 8 << UInt32.random(in: 0...3, using: &random)
      holdLimit = random.logUniform(upTo: 64)
      holdOneIn = Int.random(in: 1...20, using: &random)
    }

    var description: String {
      "\(script.completions) completions, \(refill) refill entries, \(buffers) buffers of "
        + "\(bufferSize), \(script.streams.count) streams, packets to \(script.longestPacket), "
        + "1 of \(script.unsplitOneIn) unsplit, at most \(holdLimit) held"
    }
  }

  struct Outcome: Sendable {
    var problems: [String] = []
    var counts = SimulatedKernel.Counts()
    var pauses: UInt64 = 0
    var unsplit: UInt64 = 0
    var starved: UInt64 = 0
    var ends: [StreamEnd] = []
    var leaks: [String] = []
  }

  static func run(
    _ sizes: Sizes, reserve: Int = ZCRXArea.reserveBuffers
  ) throws -> Outcome {
    let seed = sizes.script.seed
    let kernel = SimulatedKernel(sizes.script)
    let layout = try #require(
      AreaLayout(bufferSize: Int(sizes.bufferSize), bufferCount: Int(sizes.buffers)))
    let ring = kernel.makeRing()
    var binding = ZCRXOptions(target: ZCRXOptions.Target(interface: 1, queue: 1))
    binding.refillEntries = sizes.refill
    var area = try ZCRXArea(
      try AreaBacking(layout, reserve: reserve), options: binding, on: ring, features: .simulated)
    area.takesCopies = sizes.script.takesCopies
    var limits = EngineControl.Limits()
    limits.connections = UInt64(sizes.script.streams.count)
    let control = EngineControl(limits: limits)
    var isStuck = false
    kernel.giveUp = {
      isStuck = true
      control.ask(.abort)
    }
    var options = EngineOptions()
    options.maxConnections = 8
    options.holdLimit = sizes.holdLimit
    let shared = SharedCounters(EngineCounters())
    var stage = HoldingStage(
      connections: 8, limit: sizes.holdLimit, holdOneIn: sizes.holdOneIn, seed: seed)
    var outcome = Outcome()
    do {
      var engine = try ZeroCopyEngine(
        ring: ring, area: area, options: options, listener: dup(0), control: control,
        shared: shared)
      engine.run(&stage)
      #if DEBUG
        if let leaks = engine.leaks() { outcome.leaks.append(leaks) }
      #endif
      outcome.leaks += kernel.audit()
      outcome.problems += outcome.leaks
    }
    let counters = shared.snapshot()
    let sent = sizes.script.streams.reduce(0) { $0 + UInt64($1.count) }
    if isStuck { outcome.problems.append("stuck") }
    if stage.mismatches > 0 { outcome.problems.append("\(stage.mismatches) bytes are wrong") }
    if stage.bytes != sent { outcome.problems.append("\(stage.bytes) of \(sent) bytes came") }
    if counters.bytes != sent || counters.discardedBytes != 0 {
      outcome.problems.append("\(counters.bytes) bytes counted, \(counters.discardedBytes) lost")
    }
    if stage.ends.count != sizes.script.streams.count
      || stage.ends.contains(where: { $0 != .finished })
    {
      outcome.problems.append("ends: \(stage.ends)")
    }
    outcome.unsplit = counters.unsplit
    outcome.starved = counters.starved
    outcome.ends = stage.ends
    outcome.counts = kernel.counts
    outcome.pauses = counters.pauses
    if !outcome.problems.isEmpty { outcome.problems.insert("seed \(seed): \(sizes)", at: 0) }
    return outcome
  }

  @Test("all bytes once and in order, all buffers back, for every size and every lack")
  func everySize() throws {
    var sum = SimulatedKernel.Counts()
    var pauses: UInt64 = 0
    for seed in Self.seeds {
      let outcome = try Self.run(Sizes(seed: seed))
      #expect(outcome.problems.isEmpty, "\(outcome.problems)")
      if !outcome.problems.isEmpty { break }
      sum.full += outcome.counts.full
      sum.noMemory += outcome.counts.noMemory
      sum.dropped += outcome.counts.dropped
      sum.unsplit += outcome.counts.unsplit
      sum.flushes += outcome.counts.flushes
      sum.events += outcome.counts.events
      sum.salvaged += outcome.counts.salvaged
      pauses += outcome.pauses
    }
    // Otherwise it has not been tried.
    #expect(sum.full > 0 && sum.noMemory > 0 && sum.dropped > 0 && sum.unsplit > 0)
    #expect(sum.flushes > 0 && sum.events > 0 && pauses > 0 && sum.salvaged > 0)
    print(
      "pressure: seeds \(Self.seeds.lowerBound)-\(Self.seeds.upperBound): \(sum.full) times the "
        + "completion queue was full, \(sum.noMemory) times nothing to copy into, \(sum.dropped) "
        + "packets dropped for want of a buffer, \(sum.unsplit) unsplit, \(sum.flushes) flushes, "
        + "\(pauses) pauses, \(sum.salvaged) bytes salvaged")
  }

  /// As of a dmabuf, into which the kernel copies nothing. Stages hold more leases than there are
  /// buffers in the reserve.
  @Test("bytes that the NIC leaves unsplit do not end a stream into device memory")
  func deviceMemory() throws {
    var salvaged = 0
    for seed in 0..<100 as Range<UInt64> {
      var sizes = Sizes(seed: seed)
      sizes.script.takesCopies = false
      sizes.script.unsplitOneIn = Int(seed % 3) + 1
      (sizes.holdLimit, sizes.holdOneIn) = (64, 1)
      let outcome = try Self.run(sizes)
      #expect(outcome.problems.isEmpty, "\(outcome.problems)")
      salvaged += outcome.counts.salvaged
      // Without a reserve they do, and it is said which way.
      if seed % 3 == 0 { #expect(try Self.run(sizes, reserve: 0).unsplit > 0) }
    }
    #expect(salvaged > 0)
  }

  /// As of an area that is no larger than the NIC's ring, with streams moved to another queue.
  @Test("a stream whose bytes find no buffer for good ends and says so; others go on")
  func noBufferForGood() throws {
    var ended = 0
    for seed in 0..<40 as Range<UInt64> {
      var sizes = Sizes(seed: seed)
      sizes.script.ringHasAll = true
      sizes.script.unsplitOneIn = 20
      let outcome = try Self.run(sizes)
      let starved = outcome.ends.filter { $0 == .starved }.count
      #expect(outcome.ends.count == sizes.script.streams.count, "seed \(seed): \(outcome.problems)")
      #expect(outcome.ends.allSatisfy { $0 == .starved || $0 == .finished })
      #expect(outcome.starved == UInt64(starved))
      #expect(!outcome.problems.contains("stuck") && outcome.leaks.isEmpty)
      ended += starved
    }
    #expect(ended > 0)
  }

  @Test("the same seed gives the same run")
  func deterministic() throws {
    for seed in [3, 14, 159] as [UInt64] {
      let one = try Self.run(Sizes(seed: seed))
      let two = try Self.run(Sizes(seed: seed))
      #expect(one.counts == two.counts && one.pauses == two.pauses)
    }
  }
}
