import CommandSupport
import Ingest
import JSON5
import RingCore
import Stages

/// One run of a receiver, as the main thread sees it.
final class ReceiveSession {
  private let configuration: ReceiveConfiguration
  private let reporter: Reporter
  private let log: ConnectionLog
  private let watch: Watch
  private var stops = 0
  private var last = ReceiveCounters()
  private var lastPerThread: [ReceiveCounters] = []
  private var lastMeters = StageMeters()
  private var lastCPU = processCPUSeconds()
  private var hadTraffic = false
  private var wasTooMuch = false
  private var stalls: StallWatch
  private var machine = MachineWatch()
  /// The socket of who starts receivers anew.
  private let supervisor: Int32?

  init(
    _ configuration: ReceiveConfiguration, _ options: OutputOptions,
    object: [String: JSONValue], supervisor: Int32? = nil
  ) {
    self.supervisor = supervisor
    self.configuration = configuration
    reporter = Reporter(
      options, command: RunCommand.name, configuration: .object(object),
      outIsTaken: configuration.sink == "stdout" || configuration.sink.hasPrefix("stdout:"),
      bounded: configuration.time > 0 || configuration.bytes > 0 || configuration.connections > 0)
    log = ConnectionLog(reporter, hasDropped: configuration.privileges == .drop)
    // Isolated ones are ended when they hang.
    let inProcess = configuration.stages.filter { !$0.hasPrefix(PluginSpecification.isolated) }
    stalls = StallWatch(stages: inProcess + [IngestProgram.stageName].compactMap { $0 })
    watch = Watch(interval: options.intervalSeconds)
  }

  /// Receives until the end and prints the result; gives the exit code.
  func run() throws(IngestError) -> Int32 {
    do throws(IngestError) {
      // Before any thread: they inherit that the signals are blocked.
      let signals = try Signals()
      let shortage = makeRoomForDescriptors(configuration)
      let receiver = try IngestProgram.receiver(configuration)
      try receiver.start { reporter.talk($0) }
      receiver.survivesCrashes()
      if let supervisor { SupervisorWord.listening.send(to: supervisor) }
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
    let front: [String?] = [configuration.parse, configuration.checksum]
    let chain = front + configuration.stages + [IngestProgram.stageName, configuration.sink]
    let spelled = chain.compactMap { $0 }.joined(separator: " -> ")
    var lines = ["listening on \(places.joined(separator: ", ")), \(threads), \(spelled)"]
    lines += remarks.map { "note: \($0)" }
    reporter.started(
      listening: places, remarks: remarks, privileges: receiver.privileges, lines)
  }

  private func follow(_ receiver: Receiver, _ signals: borrowing Signals) {
    watch.run(
      signals, isFinished: { receiver.isFinished || stops > 1 },
      look: { now in
        receiver.drainEvents { log.take($0, now: now) }
        showProgress(receiver, now)
        for news in receiver.nicNews() {
          receiver.note(news.kind == .drift ? .drift : .link, news.text)
          reporter.happened(news)
          if news.kind == .removed, let supervisor { SupervisorWord.lost.send(to: supervisor) }
        }
        if stops == 0, let supervisor, SupervisorWord.isOrphaned(supervisor) { stop(receiver) }
        for sentence in stalls.look(receiver.loads(), now: now) {
          receiver.note(.stall, sentence)
          reporter.stalled(sentence)
        }
        let counters = receiver.snapshot(asksNIC: false)
        for note in machine.look(receiver.placements(), counters, now: now) {
          reporter.noted(note.kind, note.text)
        }
      },
      tick: { start, end in interval(receiver, start, end) },
      signal: { signal in
        switch signal {
        case .dump: dump(receiver)
        case .stop: stop(receiver)
        }
      })
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
    var row = ReceiveInterval(from: last, to: counters, start: start, end: end, cpu: cpu - lastCPU)
    let meters = receiver.meters()
    row.stages = meters.prices(since: lastMeters)
    row.loads = receiver.loads()
    lastMeters = meters
    warn(receiver, row.truth)
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

  /// Tells once when more is copied than allowed, and again after it was less.
  private func warn(_ receiver: Receiver, _ truth: ByteTruth) {
    let isTooMuch = !configuration.maxCopied.allows(truth)
    if isTooMuch && !wasTooMuch {
      let sentence = tooMuchCopied(truth, configuration.maxCopied, receiver.copyHints(truth))
      receiver.note(.copied, sentence)
      reporter.copied(sentence)
    }
    if truth.total > 0 { wasTooMuch = isTooMuch }
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
    let counters = receiver.snapshot(asksNIC: false)
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
      perThread: receiver.perThread(), stages: receiver.meters().prices(),
      loads: receiver.loads())
    if let text = try? JSONText.encode(state, pretty: true) { reporter.talk(text) }
    receiver.note(.signal, "USR1")
    leaveRecording(receiver)
  }

  /// Says where what was recorded lies.
  private func leaveRecording(_ receiver: Receiver) {
    do throws(IngestError) {
      if let path = try receiver.writeRecording() {
        reporter.talk("note: \(Receiver.recordingText(path))")
      }
    } catch {
      reporter.talk("note: \(error)")
    }
  }

  /// Whether an end is a fault of the ring, of a stage or of the sink, or may be one.
  private static func isWorthRecording(_ kind: IngestError.Kind) -> Bool {
    switch kind {
    case .failed, .refusedByKernel, .verificationFailed: true
    case .usage, .notSupported, .noPrivilege, .peerFailed, .copiedShare, .notRestored: false
    }
  }

  private func end(_ receiver: Receiver) throws(IngestError) -> Int32 {
    // After a second signal a thread may still hang in its sink: nobody waits for it.
    let report = receiver.finish(within: stops > 1 ? 1 : nil)
    receiver.drainEvents { log.take($0, now: watch.elapsed) }
    var part = ReceivePart(report, perThread: receiver.perThread())
    part.stages = receiver.meters().prices()
    part.loads = receiver.loads()
    var end = EndPart(receive: part, remarks: report.remarks, faults: report.counters.faults)
    if let outcome = receiveOutcome(report, log, forced: stops > 1) {
      end.exitCode = outcome.kind.rawValue
      end.failure = outcome.text
      if ReceiveSession.isWorthRecording(outcome.kind) {
        receiver.note(.failure, outcome.text)
        leaveRecording(receiver)
      }
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
  var stages: [StagePrice]
  var loads: [StageLoad]
}
