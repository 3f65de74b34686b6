import Ingest
import RingCore
import Testing

// The stage of README.md; a test below compares them.

struct CountNewlines: Stage {
  var totals = StageTotals()

  mutating func take(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    totals.records += batch.area.withBytes(of: lease) { bytes in
      var found: UInt64 = 0
      for place in 0..<bytes.byteCount {
        if unsafe bytes.unsafeLoad(fromByteOffset: place, as: UInt8.self) == 10 { found += 1 }
      }
      return found
    }
    return lease.done()
  }
}

func countNewlines(_ configuration: ReceiveConfiguration) throws(IngestError) -> UInt64 {
  let receiver = try Receiver(configuration) { _ in CountNewlines() }
  try receiver.start()
  return receiver.finish().counters.records
}

@Suite struct ReadmeTests {
  private static let readme = RunningCommand.text(of: RunningCommand.root + "/README.md")

  @Test func stageIsTheOneThatCompiles() {
    let own = RunningCommand.text(of: #filePath)
    guard
      let code = ReadmeTests.readme.split(separator: "```swift\n").last?.split(separator: "```")
        .first, let start = code.firstRange(of: "struct CountNewlines")
    else {
      Issue.record("no code in README.md")
      return
    }
    #expect(own.contains(code[start.lowerBound...]))
  }

  @Test func stageCounts() throws {
    var configuration = ReceiveConfiguration()
    configuration.listen = "127.0.0.1"
    configuration.port = try freePort()
    configuration.connections = 1
    let client = Task.detached { [port = configuration.port] in
      // The receiver starts meanwhile; a refusal means that it does not listen yet.
      for _ in 0..<500 {
        if let client = try? Client(port: port) {
          client.send(Array("one\ntwo\nthree\n".utf8))
          return
        }
        try await Task.sleep(nanoseconds: 10_000_000)
      }
    }
    defer { client.cancel() }
    #expect(try countNewlines(configuration) == 3)
  }

  /// Paths and commands that README.md names are there.
  @Test func linksLeadSomewhere() throws {
    for part in ReadmeTests.readme.split(separator: "](").dropFirst() {
      guard let path = part.split(separator: ")").first else { continue }
      #expect(exists(RunningCommand.root + "/" + path), "\(path)")
    }
    for tool in ["tools/run", "tools/test"] { #expect(exists(RunningCommand.root + "/" + tool)) }
  }

  /// What `tools/run` prints at its end is how the README says to call the commands.
  @Test func commandsAreWhereTheReadmeSays() {
    let run = RunningCommand.text(of: RunningCommand.root + "/tools/run")
    #expect(run.contains(".build/release/ingest and .build/release/ingest-send"))
    #expect(ReadmeTests.readme.contains("export PATH=\"$PWD/.build/release:$PATH\""))
  }
}
