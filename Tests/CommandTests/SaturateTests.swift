import Glibc
import JSON5
import Testing

/// `ingest saturate` as it is run. What it names is the acceptance checks' business
/// (tools/acceptance/saturating.py): here the machine does other things, too.
@Suite struct SaturateTests {
  @Test func aLimiterStandsBesideTheModel() throws {
    let result = try RunningCommand.run(
      "ingest", "saturate", "-t", "1", "--rate", "200G", "--mtu", "4096", "--buffer", "4K")
    #expect(result.code == 0, "\(result.error)")
    for words in ["Limiter: ", "because ", "what helps: ", "Model, from the costs", "measured"] {
      #expect(result.out.contains(words), "\(words) in \(result.out)")
    }
    #expect(result.out.contains("Plan for 200 Gbits/sec, MTU 4096, buffers of 4 KiB"))
    #expect(result.out.contains("6.05M completions, 6.05M packets"))
    #expect(!result.out.contains("Result: every byte"))
  }

  @Test func theDocumentHasAllOfIt() throws {
    let result = try RunningCommand.run(
      "ingest", "saturate", "-t", "1", "-b", "100M", "--json")
    #expect(result.code == 0, "\(result.error)")
    let document = try object(result.out)
    #expect(text(document, "start", "command") == "ingest saturate")
    #expect(text(document, "end", "saturation", "finding", "limiter", "name") == "link")
    #expect(text(document, "end", "saturation", "finding", "confidence") == "high")
    for part in ["evidence", "costs", "expected"] {
      guard case .object? = value(document, "end", "saturation", part) else {
        Issue.record("no \(part)")
        continue
      }
    }
    #expect(value(document, "end", "saturation", "plan") == nil)
  }

  /// A run that is cut short tells what it saw.
  @Test func theFirstSignalEndsItWell() throws {
    let command = try RunningCommand("ingest", ["saturate", "-t", "60", "-b", "1G"])
    try command.waitFor("[SUM]")
    command.signal(SIGINT)
    let result = try command.finish()
    #expect(result.code == 0, "\(result.error)")
    #expect(result.out.contains("Limiter: "), "\(result.out)")
  }
}
