import ArgumentParser
import CommandSupport
import Ingest
import ZeroCopy

/// `ingest flight`: what a run's threads did last, and doing it again.
struct FlightCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "flight",
    abstract: "Show what a run's threads did last, or do it again without the network.",
    discussion: """
      Each receiving thread of `ingest run` keeps its last events in memory: what each wait \
      brought from the kernel, completion by completion, and what was done with it. They become a \
      file when a run fails (exit codes 1, 4 and 7) or crashes, and at USR1: ingest-PID.flight in \
      /run/ingest, else in $XDG_RUNTIME_DIR/ingest or $TMPDIR, where the newest eight stay. With \
      --record PATH they are recorded into that file as they happen, so that it is there after \
      `kill -9`, too; it should lie in memory (/run, /dev/shm), or threads may wait for its disk.

      A recording holds sizes, offsets, results and times, and the run's configuration. It holds \
      no payload and no address of a peer.

      EXAMPLES
        ingest flight show /run/ingest/ingest-4711.flight
            how much of what, and the last events of each thread
        ingest flight show FILE --last 500 --thread 2
        ingest flight show FILE --json | jq '.threads[].counts'
        ingest flight replay FILE
            the same completions through the same parse, checksum and stages
        ingest flight replay FILE --stage ./libwords.so
            through a stage that is suspected
      """,
    subcommands: [FlightShow.self, FlightReplayCommand.self])

  /// Reads a recording; its errors are those of a command.
  static func read(_ path: String) throws(IngestError) -> FlightFile {
    do throws(RingError) {
      return try FlightFile(path: path)
    } catch {
      throw IngestError(
        .failed, "could not \(error.step): \(errorText(error.errno))",
        remedy: error.remedy ?? "a recording is named when it is written: ingest-PID.flight")
    }
  }
}

/// `ingest flight replay`.
struct FlightReplayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay",
    abstract: "Do again what was recorded, with a chain.",
    discussion: """
      The engine that recorded handles the same completions in the same order and batches again: \
      sizes, ends, errors such as ENOSPC and ENOBUFS, stops. Nothing is sent or received. Payload \
      is made up by --seed, in the shape that --parse wants. The chain is the recorded one with \
      sink null; its flags mean what they mean to `ingest run`.

      Exit code 0 if each thread did what it did then, 1 if something differs, which is told.
      """)

  @Argument(help: "The recording.")
  var file: String
  @Option(help: ArgumentHelp("How records are found.", valueName: "kind[:options]"))
  var parse: String?
  @Option(help: ArgumentHelp("What digests are computed or verified.", valueName: "kind[:verify]"))
  var checksum: String?
  @Option(help: ArgumentHelp("Only null: nobody answers a sink's requests.", valueName: "null"))
  var sink: String?
  @Option(
    name: [.customLong("stage"), .customLong("stages")],
    help: ArgumentHelp(
      "Put a shared object's stage before the sink; again for more.",
      valueName: "path[?key=value,…]"))
  var stage: [String] = []
  @Option(help: ArgumentHelp("Replay this thread only.", valueName: "number"))
  var thread: Int?
  @Option(help: ArgumentHelp("What payload is made of.", valueName: "number"))
  var seed: UInt64 = 1
  @Flag(name: [.customShort("J"), .long], help: "Print what came of it as JSON.")
  var json = false

  mutating func run() throws {
    let replay = try FlightReplay(FlightCommand.read(file), seed: seed)
    var chain = replay.configuration
    try Setting<ReceiveConfiguration>.all.apply(overrides, to: &chain)
    let threads = replay.threads.filter { thread == nil || $0 == thread }
    guard !threads.isEmpty else {
      throw IngestError(
        .failed, "\(file) holds no batch\(thread.map { " of thread \($0)" } ?? "")",
        remedy: "`ingest flight show \(file)` tells what it holds")
    }
    var results: [ReplayResult] = []
    for thread in threads {
      let outcome = try replay.run(
        thread: thread, chain: chain, IngestProgram.receiver)
      results.append(ReplayResult(outcome))
    }
    if json {
      Output.data.line(
        try JSONText.encode(
          ReplayDocument(schema: Schema.name, file: file, threads: results), pretty: true))
    } else {
      for line in results.flatMap(\.lines) { Output.data.line(line) }
    }
    if results.contains(where: { !$0.differences.isEmpty }) {
      throw ExitCode(IngestError.Kind.failed.rawValue)
    }
  }

  private var overrides: [Override] {
    [
      Override("--parse", "parse", parse), Override("--checksum", "checksum", checksum),
      Override("--sink", "sink", sink),
      Override("--stage", "stages", stage.isEmpty ? nil : stage.joined(separator: "\n")),
    ].compactMap { $0 }
  }
}

private struct ReplayDocument: Encodable {
  var schema: String
  var file: String
  var threads: [ReplayResult]
}

/// What one thread's replay came to, as it is printed.
private struct ReplayResult: Encodable {
  var thread: Int
  var recorded: CountsPart
  var replayed: CountsPart
  var counters: ReceiveCounters
  var faults: [String]
  var differences: [String]
  var remarks: [String]

  init(_ outcome: FlightReplay.Outcome) {
    thread = outcome.thread
    recorded = CountsPart(outcome.recorded)
    replayed = CountsPart(outcome.replayed)
    counters = outcome.counters
    faults = outcome.faults.map(\.sentence)
    differences = outcome.differences
    remarks = outcome.remarks
  }

  var lines: [String] {
    let rows = zip(recorded.rows, replayed.rows).filter { $0.value != "0" || $1.value != "0" }
    var lines = [Units.right("thread \(thread)", 30) + "    recorded    replayed"]
    lines += rows.map { one, other in
      Units.right("  " + one.name, 30) + Units.left(one.value, 12) + Units.left(other.value, 12)
    }
    lines.append("  \(counters.records) records of \(counters.payloadBytes) bytes were parsed")
    lines += remarks.map { "  note: \($0)" }
    lines += faults.prefix(5).map { "  fault: \($0)" }
    if faults.count > 5 { lines.append("  fault: and \(faults.count - 5) more") }
    lines += differences.map { "  differs: \($0)" }
    if differences.isEmpty { lines.append("  the same") }
    return lines
  }
}
