import CommandSupport
import Ingest
import JSON5

/// One run of a sender, as the main thread sees it.
final class SendSession {
  private let configuration: SendConfiguration
  private let reporter: Reporter
  private let watch: Watch
  /// What there is to send, where that is known before: a file's size.
  private let fileBytes: UInt64?
  private var stops = 0
  private var last = SendCounters()
  private var lastCPU = processCPUSeconds()

  init(_ configuration: SendConfiguration, _ options: OutputOptions, object: [String: JSONValue]) {
    self.configuration = configuration
    fileBytes = configuration.file.flatMap(sizeOfFile)
    reporter = Reporter(
      options, command: SendCommand.name, configuration: .object(object),
      bounded: configuration.file == nil || fileBytes != nil)
    watch = Watch(interval: options.intervalSeconds)
  }

  /// Sends until the end and prints the result; gives the exit code.
  func run() throws(IngestError) -> Int32 {
    do throws(IngestError) {
      // Before any thread: they inherit that the signals are blocked.
      let signals = try Signals()
      let sender = try Sender(configuration)
      try sender.start()
      reporter.started(listening: [], remarks: [], [announcement])
      watch.run(
        signals, isFinished: { sender.isFinished },
        look: { now in showProgress(sender, now) },
        tick: { start, end in interval(sender, start, end) },
        signal: { signal in
          switch signal {
          case .dump: dump(sender)
          case .stop: stop(sender)
          }
        })
      return end(sender)
    } catch {
      reporter.failed(error)
      throw error
    }
  }

  private var announcement: String {
    let streams = plural(UInt64(configuration.streams), "stream")
    let what = configuration.file.map { "file \($0)" } ?? configuration.source.rawValue
    return "sending \(what) to \(configuration.host) port \(configuration.port), "
      + "\(configuration.transport.rawValue), \(streams), method \(configuration.method.rawValue)"
  }

  private func stop(_ sender: Sender) {
    stops += 1
    reporter.talk(
      stops == 1
        ? "stopping: finishing what was begun (once more forces the end)"
        : "forced: ending at once; a record may be cut off")
    if stops <= 2 { sender.stop() }
  }

  private func interval(_ sender: Sender, _ start: Double, _ end: Double) {
    let counters = sender.snapshot()
    let cpu = processCPUSeconds()
    let row = SendInterval(from: last, to: counters, start: start, end: end, cpu: cpu - lastCPU)
    last = counters
    lastCPU = cpu
    reporter.interval(
      IntervalPart(send: row), header: SendInterval.header,
      rows: [row.row("SUM", reporter.format)])
  }

  private func showProgress(_ sender: Sender, _ now: Double) {
    guard reporter.progressIsDue(now) else { return }
    let counters = sender.snapshot()
    reporter.progress(
      share: sendShare(configuration, counters, fileBytes: fileBytes, now: now),
      bytes: counters.bytes, elapsed: now)
  }

  private func dump(_ sender: Sender) {
    let state = StateDump(elapsedSeconds: watch.elapsed, total: sender.snapshot())
    if let text = try? JSONText.encode(state, pretty: true) { reporter.talk(text) }
  }

  private func end(_ sender: Sender) -> Int32 {
    let report = sender.finish()
    let part = SendPart(report)
    var end = EndPart(send: part, remarks: report.remarks)
    if let outcome = sendOutcome(report, forced: stops > 1) {
      end.exitCode = outcome.kind.rawValue
      end.failure = outcome.text
    }
    var lines = [Summary.rule] + Summary.send(part, reporter.format)
    lines += report.remarks.map { "note: \($0)" }
    if end.failure == nil { lines.append("done: all was well") }
    let isPrinted = reporter.ended(end, lines)
    if let failure = end.failure { reporter.talk("ingest-send: error: \(failure)") }
    return end.exitCode != 0 ? end.exitCode : isPrinted ? 0 : IngestError.Kind.failed.rawValue
  }
}

/// What USR1 prints.
private struct StateDump: Encodable {
  var elapsedSeconds: Double
  var total: SendCounters
}
