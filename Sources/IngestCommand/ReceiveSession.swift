import CommandSupport
import Ingest

/// One run of a receiver, as the main thread sees it.
final class ReceiveSession {
  private let configuration: ReceiveConfiguration
  private let reporter: Reporter
  private let log: ConnectionLog
  private let watch: Watch
  private var stops = 0
  private var last = ReceiveCounters()
  private var lastPerThread: [ReceiveCounters] = []
  private var lastCPU = processCPUSeconds()
  private var hadTraffic = false
  private var lastLookAtNIC = 0.0
  private var lastDrift: [String] = []

  init(_ configuration: ReceiveConfiguration, _ options: OutputOptions, object: [String: JSONValue])
  {
    self.configuration = configuration
    reporter = Reporter(
      options, command: RunCommand.name, configuration: .object(object),
      outIsTaken: configuration.sink == "stdout" || configuration.sink.hasPrefix("stdout:"),
      bounded: configuration.time > 0 || configuration.bytes > 0 || configuration.connections > 0)
    log = ConnectionLog(reporter)
    watch = Watch(interval: options.intervalSeconds)
  }

  /// Receives until the end and prints the result; gives the exit code.
  func run() throws(IngestError) -> Int32 {
    do throws(IngestError) {
      // Before any thread: they inherit that the signals are blocked.
      let signals = try Signals()
      let shortage = makeRoomForDescriptors(configuration)
      let receiver = try Receiver(configuration)
      try receiver.start { reporter.talk($0) }
      announce(receiver, shortage)
      follow(receiver, signals)
      return try end(receiver)
    } catch {
      reporter.failed(error)
      throw error
    }
  }

  private func announce(_ receiver: Receiver, _ shortage: String?) {
    let remarks = receiver.remarks + [shortage].compactMap { $0 }
    let places = receiver.endpoints.map { "\($0)" }
    let threads = configuration.threads == 1 ? "1 thread" : "\(configuration.threads) threads"
    var lines = [
      "listening on \(places.joined(separator: ", ")), \(threads), "
        + "\(configuration.parse) -> \(configuration.checksum) -> \(configuration.sink)"
    ]
    lines += remarks.map { "note: \($0)" }
    reporter.started(listening: places, remarks: remarks, lines)
  }

  private func follow(_ receiver: Receiver, _ signals: borrowing Signals) {
    watch.run(
      signals, isFinished: { receiver.isFinished || stops > 1 },
      look: { now in
        receiver.drainEvents { log.take($0, now: now) }
        showProgress(receiver, now)
        if now - lastLookAtNIC >= 1 { lookAtNIC(receiver, now) }
      },
      tick: { start, end in interval(receiver, start, end) },
      signal: { signal in
        switch signal {
        case .dump: dump(receiver)
        case .stop: stop(receiver)
        }
      })
  }

  /// Tells what has changed at the NIC since the last look, once.
  private func lookAtNIC(_ receiver: Receiver, _ now: Double) {
    lastLookAtNIC = now
    let drift = receiver.drift()
    for sentence in drift where !lastDrift.contains(sentence) { reporter.drifted(sentence) }
    lastDrift = drift
  }

  private func stop(_ receiver: Receiver) {
    stops += 1
    reporter.talk(
      stops == 1
        ? "stopping: finishing what was received (once more forces the end)"
        : "forced: ending at once; what was in flight is lost")
    if stops <= 2 { receiver.stop() }
  }

  private func interval(_ receiver: Receiver, _ start: Double, _ end: Double) {
    let counters = receiver.snapshot()
    let cpu = processCPUSeconds()
    let row = ReceiveInterval(from: last, to: counters, start: start, end: end, cpu: cpu - lastCPU)
    var rows = threadRows(receiver, start, end)
    rows.append(row.row("SUM", reporter.format))
    last = counters
    lastCPU = cpu
    hadTraffic = hadTraffic || counters.accepted > 0
    // A receiver that waits for its first connection has nothing to say.
    guard hadTraffic, row.bytes > 0 || log.openCount > 0 else { return }
    reporter.interval(
      IntervalPart(receive: row), header: ReceiveInterval.header, rows: rows)
  }

  /// A line for each thread, where there are several; their CPU time is not told apart.
  private func threadRows(_ receiver: Receiver, _ start: Double, _ end: Double) -> [String] {
    guard receiver.perThread().count > 1, reporter.style == .people else { return [] }
    let threads = receiver.perThread()
    defer { lastPerThread = threads }
    return threads.indices.map { index in
      let old = index < lastPerThread.count ? lastPerThread[index] : ReceiveCounters()
      let row = ReceiveInterval(from: old, to: threads[index], start: start, end: end, cpu: nil)
      return row.row("T\(index)", reporter.format)
    }
  }

  private func showProgress(_ receiver: Receiver, _ now: Double) {
    guard reporter.progressIsDue(now) else { return }
    let counters = receiver.snapshot()
    var share = 0.0
    if configuration.time > 0 { share = max(share, now / configuration.time) }
    if configuration.bytes > 0 { share = max(share, ratio(counters.bytes, configuration.bytes)) }
    if configuration.connections > 0 {
      share = max(share, ratio(counters.closed, configuration.connections))
    }
    reporter.progress(share: share, bytes: counters.bytes, elapsed: now)
  }

  private func dump(_ receiver: Receiver) {
    let state = StateDump(
      elapsedSeconds: watch.elapsed, openConnections: log.openCount, total: receiver.snapshot(),
      perThread: receiver.perThread())
    if let text = try? JSONText.encode(state, pretty: true) { reporter.talk(text) }
  }

  private func end(_ receiver: Receiver) throws(IngestError) -> Int32 {
    // After a second signal a thread may still hang in its sink: nobody waits for it.
    let report = receiver.finish(within: stops > 1 ? 1 : nil)
    receiver.drainEvents { log.take($0, now: watch.elapsed) }
    let part = ReceivePart(report, perThread: receiver.perThread())
    var end = EndPart(receive: part, remarks: report.remarks, faults: report.counters.faults)
    if let outcome = receiveOutcome(report, log, forced: stops > 1) {
      end.exitCode = outcome.kind.rawValue
      end.failure = outcome.text
    }
    var lines = [Summary.rule] + Summary.receive(part, reporter.format)
    if end.failure == nil { lines.append("done: all was well") }
    let isPrinted = reporter.ended(end, lines)
    for sentence in report.notRestored { reporter.talk("note: \(sentence)") }
    if let failure = end.failure { reporter.talk("ingest: error: \(failure)") }
    return end.exitCode != 0 ? end.exitCode : isPrinted ? 0 : IngestError.Kind.failed.rawValue
  }
}

/// What USR1 prints.
private struct StateDump: Encodable {
  var elapsedSeconds: Double
  var openConnections: Int
  var total: ReceiveCounters
  var perThread: [ReceiveCounters]
}
