import ArgumentParser
import CommandSupport

/// `ingest loopback`: both ends in one command, the first thing to run.
struct LoopbackCommand: ParsableCommand {
  static let name = "ingest loopback"
  static let configuration = CommandConfiguration(
    commandName: "loopback",
    abstract: "Send to ourselves over loopback, verify every record, say what it cost.",
    discussion: """
      A sender and a receiver run in this process, on threads pinned to CPUs of their own. The \
      sender makes records with sequence numbers and CRC32C digests; the receiver finds them in \
      the TCP stream and verifies each. Nothing is installed or changed, and no privilege is \
      needed.

      Loopback says what this host's software path costs. It copies every byte, as the result \
      shows, so it says nothing of zero-copy gains on a network card. The sender connects as it \
      goes, so that privileges are kept.

      EXAMPLES
        ingest loopback
        ingest loopback -t 30 -P 8 -6
        ingest loopback --records 2000000 --record-minimum 1 --record-maximum 64K
        ingest loopback --config configs/loopback.json5 --json

      \(HelpText.units)

      \(HelpText.json)

      \(HelpText.signals)

      \(HelpText.exitCodes)
      """)

  @OptionGroup(title: "What to do")
  var loopback: LoopbackOptions
  @OptionGroup(title: "What to print")
  var output: OutputOptions

  mutating func run() throws {
    let setup = try LoopbackSetup(command: LoopbackCommand.name, loopback, output)
    if try setup.isPrinted(output) { return }
    let code = try LoopbackSession(setup, output).run()
    if code != 0 { throw ExitCode(code) }
  }
}
