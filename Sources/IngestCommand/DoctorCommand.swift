import ArgumentParser
import CommandSupport
import Ingest

/// `ingest doctor`: what this machine has, and what it lacks for zero-copy receive.
struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Say what this machine has for zero-copy receive, and what to do where it lacks.",
    discussion: """
      Looks and changes nothing. Each line is ok, a warning (it works, with a cost) or blocks \
      (zero-copy receive cannot work); the line below names the command that mends it.

      Exit code 0 if nothing blocks, 3 if something does.
      """)

  @Flag(name: [.customShort("J"), .long], help: "Print the findings as JSON.")
  var json = false

  mutating func run() throws {
    let findings = Doctor.kernel()
    if json {
      let report = DoctorReport(schema: Schema.name, machine: Machine(), findings: findings)
      Output.data.line(try JSONText.encode(report, pretty: true))
    } else {
      for line in DoctorCommand.lines(findings) { Output.data.line(line) }
    }
    if findings.contains(where: { $0.verdict == .blocks }) {
      throw ExitCode(IngestError.Kind.notSupported.rawValue)
    }
  }

  static func lines(_ findings: [Finding]) -> [String] {
    let width = findings.map(\.subject.count).max() ?? 0
    return findings.flatMap { finding in
      let head = Units.right(finding.verdict.rawValue, 9) + Units.right(finding.subject, width + 2)
      let remedy = finding.remedy.map { [Units.right("", 9) + "-> " + $0] } ?? []
      return [head + finding.fact] + remedy
    }
  }
}

private struct DoctorReport: Encodable {
  var schema: String
  var machine: Machine
  var findings: [Finding]
}
