public import RingCore
public import Stages

/// Runs a stage over streams in memory, as an engine would: for tests, without a kernel or a
/// network.
///
/// From a seed it decides how each stream is cut into leases, which connection comes next, where in
/// the area the bytes lie and how many completions a batch has. Bytes that were given back are
/// overwritten at once, so a stage that looks at them later shows. The same seed gives the same
/// run.
///
/// ```swift
/// let outcome = Simulation(seed: 1).run(
///   ["GET /\nERR\n", "ERR\n"].map { SimulatedStream($0) }, parse: LinesFramer(), stage: Errors())
/// #expect(outcome.stage.count == 2)
/// #expect(outcome.problems.isEmpty)
/// ```
public struct Simulation: Sendable {
  public var seed: UInt64
  /// Bytes of a buffer (a power of two, at least 4096) and number of buffers of the area.
  public var bufferSize = 4096
  public var bufferCount = 16
  /// The most bytes of a lease.
  public var longestLease = 4096
  /// The most leases of a batch.
  public var longestBatch = 16
  /// The most leases that stages may hold.
  public var holdLimit = 64
  /// Has stage and sink run on another thread, behind a queue of so many items (a power of two from
  /// 2 up), which stops now and then for a moment; 0 is all on one thread. What comes out is the
  /// same; which batch it comes in then depends on the machine, too.
  public var ringCapacity = 0

  public init(seed: UInt64) { self.seed = seed }

  /// Sends the streams through parse and the stage to a sink that keeps what comes.
  public func run<F: Framer, S: RecordStage & ~Copyable>(
    _ streams: [SimulatedStream], parse: F, stage: consuming S
  ) -> SimulationOutcome<S> {
    invariant(!streams.isEmpty, "a simulation has at least one stream")
    let connections = streams.count
    let end = SimulatedEnd(
      Staged(stage, CollectingSink(connections), maxConnections: connections))
    var engine = SimulatedEngine(self, streams)
    var problems: [String]
    var totals: StageTotals
    var faults: [Fault] = []
    if ringCapacity == 0 {
      var chain = RecordChain(
        framer: parse, checksum: NoChecksum(), sink: SimulatedSink(end),
        maxConnections: connections)
      engine.run(&chain)
      problems = engine.problems + chain.failures()
      totals = chain.totals
    } else {
      let place = SimulatedPlace(self, area: engine.area, maxConnections: connections) {
        SimulatedSink(end)
      }
      var chain = RecordChain(
        framer: parse, rest: HandOverAll(place.start()), maxConnections: connections)
      engine.run(&chain)
      chain.stop()
      problems = engine.problems + chain.failures()
      totals = chain.totals
      totals.add(place.counters)
      faults = place.faults
    }
    if let leaks = engine.ledger.leaks() {
      problems.append("stage \(S.name) has kept or lost leases: \(leaks)")
    }
    return SimulationOutcome(
      end: end, faults: engine.takeFaults() + faults, problems: problems, totals: totals,
      received: engine.received)
  }
}

extension StageTotals {
  /// Adds what another thread's part of the chain counted.
  mutating func add(_ counters: SinkCounters) {
    sinkBytes += counters.bytes
    sinkLostBytes += counters.lostBytes
    refusedBytes += counters.refusedBytes
    stageDroppedBytes += counters.stageDroppedBytes
  }
}

/// The bytes of one connection, and how it ends.
public struct SimulatedStream: Sendable {
  public var bytes: [UInt8]
  public var end: StreamEnd

  public init(_ bytes: [UInt8], end: StreamEnd = .finished) {
    self.bytes = bytes
    self.end = end
  }

  public init(_ text: String, end: StreamEnd = .finished) { self.init(Array(text.utf8), end: end) }
}

/// What came of a simulation.
public struct SimulationOutcome<S: RecordStage & ~Copyable>: ~Copyable {
  public let faults: [Fault]
  /// What a stage must not do, as sentences: leases that never came back, each with its age, and
  /// what the stage says of itself.
  public let problems: [String]
  public let totals: StageTotals
  /// Bytes of the streams that were given to the chain: the sum of ``StageTotals/accountedBytes``.
  public let received: UInt64
  private let end: SimulatedEnd<S>

  fileprivate init(
    end: SimulatedEnd<S>, faults: [Fault], problems: [String], totals: StageTotals,
    received: UInt64
  ) {
    self.end = end
    self.faults = faults
    self.problems = problems
    self.totals = totals
    self.received = received
  }

  /// The stage, as it was at the end.
  public var stage: S {
    _read { yield end.staged.stage }
  }

  /// Payload of the records that the stage passed on, per stream, in order; without records
  /// (``RawFramer``) all of it as one.
  public var records: [[[UInt8]]] { end.staged.next.records }

  /// The faults as sentences.
  public var faultSentences: [String] {
    faults.map { fault in
      fault.kind == .stage
        ? StageCatalog.sentence(fault.expected, code: fault.found) : "\(fault.kind)"
    }
  }
}
