import ArgumentParser
import CommandSupport
import Ingest
import JSON5

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
    let receiveSettings = Setting<ReceiveConfiguration>.all
    let sendSettings = Setting<SendConfiguration>.all
    var (receive, send) = LoopbackCommand.defaults()
    if let path = output.config {
      let file = try ConfigurationFile(path)
      try file.check(command: LoopbackCommand.name, keys: ["receive", "send"])
      try file.apply(receiveSettings, to: &receive, section: "receive")
      try file.apply(sendSettings, to: &send, section: "send")
    }
    try receiveSettings.apply(loopback.receiveOverrides, to: &receive)
    try sendSettings.apply(loopback.sendOverrides, to: &send)
    if send.time == 0 && send.bytes == 0 && send.records == 0 && send.file == nil {
      send.time = 5
    }
    let object: [String: JSONValue] = [
      "command": .string(LoopbackCommand.name),
      "receive": .object(receiveSettings.object(of: receive)),
      "send": .object(sendSettings.object(of: send)),
    ]
    if output.showConfig {
      Output.data.line(try JSONText.encode(object, pretty: true))
      return
    }
    guard send.transport == .tcp else {
      throw ValidationError("the receiver takes TCP only: send.transport must be \"tcp\"")
    }
    let code = try LoopbackSession(receive, send, output, object: object).run()
    if code != 0 { throw ExitCode(code) }
  }

  /// Records with CRC32C, verified; one CPU for each end where there are two.
  private static func defaults() -> (receive: ReceiveConfiguration, send: SendConfiguration) {
    var receive = ReceiveConfiguration()
    receive.listen = "127.0.0.1"
    // The kernel chooses, so that two runs at a time do not meet.
    receive.port = 0
    receive.parse = "wire"
    receive.checksum = "crc32c:verify"
    var send = SendConfiguration()
    send.congestion = Machine.loopbackCongestion()
    let cpus = allowedCPUs()
    if let first = cpus.first, let last = cpus.last {
      send.cpus = [first]
      receive.cpus = [last]
    }
    return (receive, send)
  }
}
