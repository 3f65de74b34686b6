import ArgumentParser
import CommandSupport
import Ingest
import JSON5
import RingCore
import ZeroCopy

/// `ingest flight show`: a recording for people, or as JSON.
struct FlightShow: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show",
    abstract: "Print what was recorded: how much of what, and the last events.",
    discussion: "Times are seconds before the last event of the recording.")

  @Argument(help: "The recording; a process may still be writing it.")
  var file: String
  @Option(
    name: [.customShort("n"), .long],
    help: ArgumentHelp("Print so many events of each thread; 0 prints none.", valueName: "count"))
  var last = 40
  @Option(help: ArgumentHelp("Print this thread only.", valueName: "number"))
  var thread: Int?
  @Flag(name: [.customShort("J"), .long], help: "Print it as JSON.")
  var json = false

  mutating func run() throws {
    guard last >= 0 else { throw ValidationError("--last takes 0 or more") }
    let recording = try FlightCommand.read(file)
    let tracks = recording.tracks.filter { thread == nil || $0.thread == thread }
    let end = FlightShow.end(of: recording)
    let parts = tracks.map { TrackPart($0, end: end, last: last) }
    let notes = recording.notes.map { NotePart($0, end: end) }
    if json {
      let text = (try? JSONText.decode(json5: recording.text)) ?? .null
      let document = FlightDocument(
        schema: Schema.name, process: recording.process,
        began: Double(recording.beganOnWallClock) / 1e9,
        seconds: end > recording.began ? Double(end - recording.began) / 1e9 : 0, run: text,
        threads: parts, notes: notes)
      Output.data.line(try JSONText.encode(document, pretty: true))
      return
    }
    let length = end > recording.began ? Double(end - recording.began) / 1e9 : 0
    Output.data.line(
      "process \(recording.process), \(Units.fixed(length, 3)) s until the last event")
    for part in parts { part.lines.forEach { Output.data.line($0) } }
    if !notes.isEmpty { Output.data.line("notes") }
    for note in notes {
      let time = Units.left(Units.fixed(note.seconds, 6), 14)
      Output.data.line("\(time)  \(note.kind): \(note.text)")
    }
  }

  /// The newest time in the file.
  private static func end(of recording: FlightFile) -> UInt64 {
    let batches = recording.tracks.compactMap { track in
      track.events.last { $0.kind == .batch || $0.kind == .ended }?.first
    }
    return max(batches.max() ?? 0, recording.notes.map(\.at).max() ?? 0, recording.began)
  }
}

private struct FlightDocument: Encodable {
  var schema: String
  var process: UInt32
  /// Seconds since 1970.
  var began: Double
  var seconds: Double
  var run: JSONValue
  var threads: [TrackPart]
  var notes: [NotePart]
}

private struct NotePart: Encodable {
  var kind: String
  /// Against the last event; not above 0.
  var seconds: Double
  var text: String

  init(_ note: FlightFile.Note, end: UInt64) {
    kind = note.kind.map { "\($0)" } ?? "unknown"
    seconds = -(note.at < end ? Double(end - note.at) / 1e9 : 0)
    text = note.text
  }
}

/// One thread of a recording, as it is printed.
private struct TrackPart: Encodable {
  var thread: Int
  var engine: String
  var buffers: String
  var events: Int
  var lost: UInt64
  var counts: CountsPart
  var last: [EventPart]

  init(_ track: FlightTrack, end: UInt64, last: Int) {
    thread = track.thread
    engine = track.shape?.engine.name ?? "none"
    buffers =
      track.shape.map { "\($0.layout.bufferCount) x \($0.layout.bufferSize)" } ?? "none"
    events = track.events.count
    lost = track.lost
    counts = CountsPart(FlightCounts(of: track))
    var time: UInt64?
    var parts: [EventPart] = []
    for (index, event) in track.events.enumerated() {
      if event.kind == .batch || event.kind == .ended { time = event.first }
      guard index >= track.events.count - last else { continue }
      let before = time.map { $0 < end ? -Double(end - $0) / 1e9 : 0 }
      parts.append(EventPart(seconds: before, what: event.word, text: event.sentence))
    }
    self.last = parts
  }

  var lines: [String] {
    var lines = [
      "thread \(thread): engine \(engine), \(buffers) bytes, \(events) events"
        + (lost > 0 ? ", \(lost) earlier ones written over" : "")
    ]
    lines += counts.rows.filter { $0.value != "0" }.map {
      Units.right("  " + $0.name, 30) + Units.left($0.value, 12)
    }
    lines += last.map { part in
      let time = part.seconds.map { Units.fixed($0, 6) } ?? "?"
      return Units.left(time, 14) + "  " + Units.right(part.what, 11) + part.text
    }
    return lines
  }
}

private struct EventPart: Encodable {
  /// Against the last event; nil before the first batch.
  var seconds: Double?
  var what: String
  var text: String
}
