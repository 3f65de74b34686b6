package import RingCore
package import Stages

extension Simulation {
  /// What came of streams that went through plugins.
  package struct PluginOutcome: Sendable {
    /// As ``SimulationOutcome/records``.
    package let records: [[[UInt8]]]
    package let faults: [Fault]
    package let problems: [String]
    /// Bytes given to the chain, and those of them that the chain's counts have.
    package let received: UInt64
    package let accounted: UInt64
  }

  /// Sends the streams through parse and instances of the plugins to a sink that keeps what comes.
  /// Errors: what a plugin says against its options.
  package func run<F: Framer>(
    _ streams: [SimulatedStream], parse: F, plugins: [(PluginLibrary, options: String)]
  ) throws(SinkError) -> PluginOutcome {
    let connections = streams.count
    let end = SimulatedEnd(
      Staged(NoStage(), CollectingSink(connections), maxConnections: connections))
    var engine = SimulatedEngine(self, streams)
    let place = PluginPlace(thread: 0, threads: 1, maxConnections: connections)
    let choices = plugins.map { PluginChoice.loaded($0.0, options: $0.options) }
    let stage = try PluginStage(
      choices, place: place, area: engine.area, next: PluginNext(SimulatedSink(end)))
    if ringCapacity == 0 {
      var chain = RecordChain(
        framer: parse, checksum: NoChecksum(), sink: stage, maxConnections: connections)
      engine.run(&chain)
      chain.stop()
      return outcome(end, &engine, chain.failures(), [], chain.totals)
    }
    let box = PluginBox(stage)
    let placed = SimulatedPlace(self, area: engine.area, maxConnections: connections) {
      box.take()
    }
    var chain = RecordChain(
      framer: parse, rest: HandOverAll(placed.start()), maxConnections: connections)
    engine.run(&chain)
    chain.stop()
    var totals = chain.totals
    totals.add(placed.counters)
    return outcome(end, &engine, chain.failures(), placed.faults, totals)
  }

  private func outcome(
    _ end: SimulatedEnd<NoStage>, _ engine: inout SimulatedEngine, _ failures: [String],
    _ faults: [Fault], _ totals: StageTotals
  ) -> PluginOutcome {
    var problems = engine.problems + failures
    if let leaks = engine.ledger.leaks() { problems.append("leases were kept or lost: \(leaks)") }
    return PluginOutcome(
      records: end.staged.next.records, faults: engine.takeFaults() + faults, problems: problems,
      received: engine.received, accounted: totals.accountedBytes)
  }
}

/// Takes a stage to the thread that runs it.
private final class PluginBox {
  private var stage: PluginStage?

  init(_ stage: consuming PluginStage) { self.stage = consume stage }

  /// Once.
  func take() -> PluginStage {
    guard let stage = stage.take() else { fatalError("a stage has one thread") }
    return stage
  }
}
