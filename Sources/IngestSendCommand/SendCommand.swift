import ArgumentParser
import CommandSupport
import Ingest
import JSON5

/// `ingest-send`: the sending end.
struct SendCommand: ParsableCommand {
  static let name = "ingest-send"
  static let configuration = CommandConfiguration(
    commandName: SendCommand.name,
    abstract: "Send to a receiver: records that it can verify, a file, or a pattern.",
    discussion: """
      Records carry a sequence number and a digest, so that `ingest --parse wire --checksum \
      crc32c:verify` at the other end proves that nothing was lost or changed. Zero-copy methods \
      say how many of their sends the kernel copied anyway: on loopback and virtual links that \
      is all of them.

      EXAMPLES
        ingest-send --to 192.0.2.1
            records for ten seconds to port 5301
        ingest-send --to '[2001:db8::1]:6000' -t 30 -P 4 -C cubic
            four streams for half a minute over IPv6
        ingest-send --to host --file big.bin
            a file, byte for byte; give the receiver --parse raw --sink file:DIR
        ingest-send --to host --method send-zc-fixed -l 16K -n 10G --json
            one method at one size, as a JSON document
        ingest-send --to host --record-minimum 1 --record-maximum 64K
            sizes spread evenly over the powers of two

      \(HelpText.units)

      \(HelpText.json)

      \(HelpText.signals)

      \(HelpText.exitCodes)
      """,
    version: HelpText.version)

  /// Bytes of a datagram where nobody says how many: what an Ethernet frame carries over IPv6, and
  /// so over IPv4.
  private static let datagram = 1452

  @OptionGroup(title: "What to send")
  var send: SendOptions
  @OptionGroup(title: "What to print")
  var output: OutputOptions

  mutating func run() throws {
    let settings = Setting<SendConfiguration>.all
    var configuration = SendConfiguration()
    if send.udp { configuration.length = SendCommand.datagram }
    var isTargetGiven = send.to != nil
    if let path = output.config {
      let file = try ConfigurationFile(path)
      try file.check(command: SendCommand.name, keys: settings.map(\.key))
      try file.apply(settings, to: &configuration)
      isTargetGiven = true
    }
    try settings.apply(try send.overrides(), to: &configuration)
    var object = settings.object(of: configuration)
    if output.showConfig {
      object["command"] = .string(SendCommand.name)
      Output.data.line(try JSONText.encode(object, pretty: true))
      return
    }
    guard isTargetGiven else {
      throw ValidationError("--to HOST[:PORT] is missing: where to send")
    }
    let code = try SendSession(configuration, output, object: object).run()
    if code != 0 { throw ExitCode(code) }
  }
}
