import Glibc
package import Ingest
package import JSON5
package import Privilege
package import RingCore

/// Prints a run as its reader wants it: lines for people, one document, or a stream of objects.
///
/// Used by the main thread alone.
package final class Reporter {
  package let style: OutputStyle
  package let format: RateFormat
  package let verbose: Bool
  /// Lines for people and JSON: standard output, unless the sink's bytes go there.
  private let out: Output
  private var progress: Progress
  private var document: Document
  private var rowsSinceHeader = 0
  private var hasStarted = false
  private var lastProgress = 0.0
  /// Peers that were turned away and named.
  private var told = 0
  /// The errno of the first write to `out` that failed.
  private var lost: Int32 = 0

  /// - Parameters:
  ///   - outIsTaken: standard output carries the sink's bytes; results go to standard error.
  ///   - bounded: the work has an end that a progress line can show.
  package init(
    _ options: OutputOptions, command: String, configuration: JSONValue, outIsTaken: Bool = false,
    bounded: Bool = false
  ) {
    style = options.style
    format = options.rateFormat
    verbose = options.verbose
    out = outIsTaken ? .talk : .data
    progress = Progress(.talk, bounded: bounded && options.style == .people)
    document = Document(
      start: StartPart(
        command: command, time: wallSeconds(), machine: Machine(), configuration: configuration))
  }

  /// A line for people, on standard output with the result; nothing in the JSON styles.
  package func say(_ line: String) {
    guard style == .people else { return }
    progress.hide()
    print(line)
  }

  /// A line for people beside the result, in every style.
  package func talk(_ line: String) {
    progress.hide()
    Output.talk.line(line)
  }

  package func started(
    listening: [String], remarks: [String], privileges: PrivilegesInEffect? = nil,
    _ lines: [String]
  ) {
    document.start.listening = listening
    document.start.remarks = remarks
    document.start.privileges = privileges
    hasStarted = true
    if style == .people {
      lines.forEach(say)
    } else if verbose {
      lines.forEach(talk)
    }
    if verbose, let privileges { talk("what the process may still do: \(privileges)") }
    stream("start", document.start)
  }

  package func interval(_ part: IntervalPart, header: String, rows: [String]) {
    if style == .document && document.intervals.count < Schema.maxIntervals {
      document.intervals.append(part)
    }
    if rowsSinceHeader % 40 == 0 { say(header) }
    rowsSinceHeader += rows.count
    rows.forEach(say)
    stream("interval", part)
  }

  package func opened(_ id: UInt64, _ peer: String) {
    if verbose { talk("connection \(id) from \(peer)") }
    stream("event", OpenedEvent(id: id, peer: peer))
  }

  /// Somebody has changed what a run stands on.
  package func happened(_ news: NICNews) {
    talk(news.kind == .drift ? "the NIC has been changed: \(news.text)" : "the NIC: \(news.text)")
    stream("event", RunEvent(kind: news.kind.rawValue, text: news.text))
  }

  /// More of an interval's bytes were copied than is allowed.
  package func copied(_ sentence: String) {
    talk("alarm: \(sentence)")
    stream("event", RunEvent(kind: "copied", text: sentence))
  }

  /// A thread of the chain stands still.
  package func stalled(_ sentence: String) { noted("stalled", sentence) }

  /// Something that hampers the run, which goes on.
  package func noted(_ kind: String, _ sentence: String) {
    talk("note: \(sentence)")
    stream("event", RunEvent(kind: kind, text: sentence))
  }

  /// A peer was turned away, for the first time.
  package func turnedAway(_ whom: TurnedAway) {
    told += 1
    talk("turned away \(whom.peer.address): \(whom.reason.text)")
    if told == ReceiveConfiguration.mostNamed {
      talk("turned away: that was the \(told)th to be named; further ones are only counted")
    }
    stream("event", TurnedAwayEvent(peer: whom.peer.address, reason: whom.reason.name))
  }

  package func closed(_ part: ConnectionPart) {
    document.connections.count += 1
    if document.connections.first.count < Schema.maxConnections {
      document.connections.first.append(part)
    }
    if verbose || part.ended != "finished" && part.ended != "stopped" {
      talk(
        "connection \(part.id) (\(part.peer)) ended: \(part.ended) "
          + "after \(part.bytes) bytes, \(part.records) records"
          + (part.digest.map { ", digest \($0)" } ?? ""))
    }
    stream("event", ClosedEvent(connection: part))
  }

  /// More of a file is on the disk; for programs that want to know what they may forget.
  package func synced(_ file: SyncedFile) {
    stream("event", SyncedEvent(file))
  }

  package func fault(_ report: FaultReport) {
    document.faults.count += 1
    guard document.faults.first.count < Schema.maxFaults else { return }
    document.faults.first.append(report)
    talk("fault: " + report.text)
    if document.faults.first.count == Schema.maxFaults {
      talk("fault: that was the \(Schema.maxFaults)th; further ones are only counted")
    }
    stream("fault", report)
  }

  /// Whether the progress line is to be shown anew: five times a second, on a terminal. Counters
  /// are not free to read, so ask before.
  package func progressIsDue(_ elapsed: Double) -> Bool {
    guard progress.isOn, elapsed - lastProgress >= 0.2 else { return false }
    lastProgress = elapsed
    return true
  }

  package func progress(share: Double, bytes: UInt64, elapsed: Double) {
    let rate = elapsed > 0 ? Double(bytes) * 8 / elapsed : 0
    progress.show(share: share, bitsPerSecond: rate, elapsed: elapsed)
  }

  package var connections: ConnectionList { document.connections }
  package var faults: FaultList { document.faults }

  /// Prints the result. False where it could not be written.
  package func ended(_ end: EndPart, _ lines: [String]) -> Bool {
    progress.hide()
    document.end = end
    switch style {
    case .people:
      lines.forEach(say)
    case .document:
      guard let text = try? JSONText.encode(document, pretty: true) else { return false }
      print(text)
    case .stream:
      stream("end", end)
    }
    if lost == 0 { return true }
    talk(
      "\(document.start.command.split(separator: " ")[0]): error: cannot write the result: "
        + (lost == EPIPE
          ? "whoever read it has ended: let it read to the end, or write to a file"
          : "\(errorText(lost)): check where the output goes"))
    return false
  }

  private func print(_ line: String) {
    let failure = out.failure(writing: line + "\n")
    if lost == 0 { lost = failure }
  }

  /// Ends a run that could not start, or failed outside its threads: the JSON styles still give
  /// their document. The sentence itself is printed by whoever catches the error.
  package func failed(_ error: IngestError) {
    guard style != .people else { return }
    if !hasStarted { stream("start", document.start) }
    var end = document.end
    end.exitCode = error.kind.rawValue
    end.failure = error.description
    _ = ended(end, [])
  }

  private func stream(_ event: String, _ data: some Encodable) {
    guard style == .stream else { return }
    if let text = try? JSONText.encode(StreamLine(event: event, data: data), pretty: false) {
      print(text)
    }
  }
}

private struct OpenedEvent: Encodable {
  var kind = "opened"
  var id: UInt64
  var peer: String
}

private struct TurnedAwayEvent: Encodable {
  var kind = "turned-away"
  var peer: String
  var reason: String
}

extension TurnedAway.Reason {
  /// Why, as the end of a sentence.
  fileprivate var text: String {
    switch self {
    case .notAllowed: "--allow does not name it"
    case .connections: "as many of its connections are open as --connections-per-peer allows"
    case .bytes: "it has sent all the bytes that --max-bytes-per-peer allows"
    case .strangers: "bytes of as many addresses are counted as there is room for"
    }
  }

  fileprivate var name: String {
    switch self {
    case .notAllowed: "not-allowed"
    case .connections: "connections"
    case .bytes: "bytes"
    case .strangers: "strangers"
    }
  }
}

private struct SyncedEvent: Encodable {
  var kind = "synced"
  /// Nil where the file has all connections' bytes.
  var connection: UInt64?
  var thread: UInt32
  var sink: UInt32
  var file: UInt64
  var bytes: UInt64

  init(_ synced: SyncedFile) {
    connection = synced.connection == 0 ? nil : synced.connection
    thread = synced.thread
    sink = synced.sink
    file = synced.file
    bytes = synced.bytes
  }
}

private struct RunEvent: Encodable {
  var kind: String
  var text: String
}

private struct ClosedEvent: Encodable {
  var kind = "closed"
  var connection: ConnectionPart
}

/// Seconds since 1970.
package func wallSeconds() -> Double {
  var now = timespec()
  unsafe clock_gettime(CLOCK_REALTIME, &now)
  return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
}
