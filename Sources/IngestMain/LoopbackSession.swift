import CIngestKernel
import CommandSupport
import Ingest
import JSON5
import RingCore

/// Both ends in one process, as the main thread sees them.
final class LoopbackSession {
  private let receive: ReceiveConfiguration
  private let send: SendConfiguration
  private let reporter: Reporter
  private let log: ConnectionLog
  private let watch: Watch
  private let fileBytes: UInt64?
  /// Looks for what limits the run; nil where that was not asked for.
  private let saturation: SaturationWatch?
  private var stops = 0
  private var lastReceive = ReceiveCounters()
  private var lastSend = SendCounters()
  private var lastMeters = StageMeters()
  private var lastCPU = processCPUSeconds()

  init(_ setup: LoopbackSetup, _ options: OutputOptions, saturation: SaturationWatch? = nil) {
    var receive = setup.receive
    let send = setup.send
    // The receiver ends by itself when the last stream has.
    receive.connections = UInt64(send.streams)
    if receive.cpus.count == 1 && receive.threads > 1 { receive.cpus = [] }
    self.receive = receive
    self.send = send
    self.saturation = saturation
    fileBytes = send.file.flatMap(sizeOfFile)
    reporter = Reporter(
      options, command: setup.command, configuration: .object(setup.object),
      outIsTaken: receive.sink == "stdout" || receive.sink.hasPrefix("stdout:"), bounded: true)
    log = ConnectionLog(reporter, hasDropped: false)
    watch = Watch(interval: options.intervalSeconds)
  }

  /// Runs both ends and prints one result; gives the exit code.
  func run() throws(IngestError) -> Int32 {
    do throws(IngestError) {
      // Before any thread: they inherit that the signals are blocked.
      let signals = try Signals()
      let receiver = try IngestProgram.receiver(receive)
      try receiver.start()
      let sender = try startSender(towards: receiver)
      announce(receiver)
      follow(receiver, sender, signals)
      return end(receiver, sender)
    } catch {
      reporter.failed(error)
      throw error
    }
  }

  private func startSender(towards receiver: Receiver) throws(IngestError) -> Sender {
    do throws(IngestError) {
      var configuration = send
      configuration.host = receive.listen ?? "127.0.0.1"
      configuration.port = receiver.endpoints.first?.raw.port ?? receive.port
      let sender = try Sender(configuration)
      try sender.start()
      return sender
    } catch {
      receiver.stop()
      _ = receiver.finish()
      throw error
    }
  }

  private func announce(_ receiver: Receiver) {
    let places = receiver.endpoints.map { "\($0)" }
    var lines = [
      "loopback over \(places.joined(separator: ", ")), "
        + "\(plural(UInt64(send.streams), "stream")), "
        + "congestion control \(send.congestion ?? "of the system"), "
        + "\(receive.parse) -> \(receive.checksum) -> \(receive.sink)"
    ]
    lines += receiver.remarks.map { "note: \($0)" }
    reporter.started(listening: places, remarks: receiver.remarks, lines)
  }

  private func follow(_ receiver: Receiver, _ sender: Sender, _ signals: borrowing Signals) {
    var senderHasFailed = false
    watch.run(
      signals, isFinished: { receiver.isFinished && sender.isFinished },
      look: { now in
        receiver.drainEvents { log.take($0, now: now) }
        saturation?.look(receiver, sender, now: now)
        if reporter.progressIsDue(now) {
          let sent = sender.snapshot()
          let share = sendShare(send, sent, fileBytes: fileBytes, now: now)
          reporter.progress(share: share, bytes: sent.bytes, elapsed: now)
        }
        // One end cannot go on without the other: the receiver waits for as many connections as
        // the sender was to open, and the sender for a reader.
        if sender.isFinished && !senderHasFailed && log.openCount == 0
          && receiver.snapshot().accepted < receive.connections
        {
          senderHasFailed = true
          receiver.stop()
        }
        if receiver.isFinished && !sender.isFinished && stops == 0 {
          stops = 1
          sender.stop()
        }
      },
      tick: { start, end in interval(receiver, sender, start, end) },
      signal: { signal in
        switch signal {
        case .dump: dump(receiver, sender)
        case .stop: stop(receiver, sender)
        }
      })
  }

  /// The sender ends its streams, and with them the receiver; a second signal ends both at once.
  private func stop(_ receiver: Receiver, _ sender: Sender) {
    stops += 1
    reporter.talk(
      stops == 1
        ? "stopping: finishing what was begun (once more forces the end)"
        : "forced: ending at once; what was in flight is lost")
    if stops <= 2 { sender.stop() }
    if stops == 2 {
      receiver.stop()
      receiver.stop()
    }
  }

  private func interval(_ receiver: Receiver, _ sender: Sender, _ start: Double, _ end: Double) {
    let received = receiver.snapshot()
    let sent = sender.snapshot()
    let cpu = processCPUSeconds()
    var row = ReceiveInterval(
      from: lastReceive, to: received, start: start, end: end, cpu: cpu - lastCPU)
    let meters = receiver.meters()
    row.stages = meters.prices(since: lastMeters)
    row.loads = receiver.loads()
    lastMeters = meters
    let sendRow = SendInterval(from: lastSend, to: sent, start: start, end: end, cpu: nil)
    (lastReceive, lastSend, lastCPU) = (received, sent, cpu)
    reporter.interval(
      IntervalPart(receive: row, send: sendRow), header: ReceiveInterval.header,
      rows: [row.row("SUM", reporter.format)])
  }

  private func dump(_ receiver: Receiver, _ sender: Sender) {
    let state = LoopbackDump(
      elapsedSeconds: watch.elapsed, receive: receiver.snapshot(),
      receivePerThread: receiver.perThread(), send: sender.snapshot())
    if let text = try? JSONText.encode(state, pretty: true) { reporter.talk(text) }
  }

  private func end(_ receiver: Receiver, _ sender: Sender) -> Int32 {
    let sent = sender.finish()
    let received = receiver.finish()
    receiver.drainEvents { log.take($0, now: watch.elapsed) }
    var receivePart = ReceivePart(received, perThread: receiver.perThread())
    receivePart.stages = receiver.meters().prices()
    receivePart.loads = receiver.loads()
    let sendPart = SendPart(sent)
    var end = EndPart(
      receive: receivePart, send: sendPart, remarks: received.remarks + sent.remarks,
      faults: received.counters.faults)
    // What the receiver found says more than that the sender was cut off by it.
    if let outcome = receiveOutcome(received, log, forced: stops > 1)
      ?? sendOutcome(sent, forced: stops > 1) ?? missing(received, sent)
    {
      end.exitCode = outcome.kind.rawValue
      end.failure = outcome.text
    }
    var lines = [Summary.rule]
    lines += Summary.send(sendPart, reporter.format)
    lines += Summary.receive(receivePart, reporter.format)
    lines += sent.remarks.map { "note: \($0)" }
    if let saturation {
      let part = saturation.conclude(receive, send)
      end.saturation = part
      lines += SaturateResult.lines(part, receivePart, reporter.format)
    } else if end.failure == nil {
      lines += LoopbackResult.lines(receive, receivePart, sendPart)
    }
    let isPrinted = reporter.ended(end, lines)
    if let failure = end.failure { reporter.talk("ingest: error: \(failure)") }
    return end.exitCode != 0 ? end.exitCode : isPrinted ? 0 : IngestError.Kind.failed.rawValue
  }

  /// Both ends counted by themselves: what was sent must have come, to the byte and record.
  private func missing(_ received: ReceiveReport, _ sent: SendReport) -> Outcome? {
    let (here, there) = (received.counters, sent.counters)
    guard here.bytes == there.bytes else {
      return (.verificationFailed, "\(there.bytes) bytes were sent and \(here.bytes) came")
    }
    let hasRecords = receive.parse.hasPrefix("wire") && send.source == .wire && send.file == nil
    guard !hasRecords || here.records == there.records else {
      return (.verificationFailed, "\(there.records) records were sent and \(here.records) came")
    }
    return nil
  }
}

/// What USR1 prints.
private struct LoopbackDump: Encodable {
  var elapsedSeconds: Double
  var receive: ReceiveCounters
  var receivePerThread: [ReceiveCounters]
  var send: SendCounters
}
