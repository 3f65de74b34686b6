import ArgumentParser
import CommandSupport
import Ingest
import JSON5

/// `ingest run`: receives until told to stop.
struct RunCommand: ParsableCommand {
  static let name = "ingest run"
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Receive TCP streams, find records in them, verify them, hand them to a sink.",
    discussion: """
      Bytes go through three stages: parse finds records, checksum computes or verifies their \
      digests, and the sink takes them. `ingest stages` explains the kinds of each.

      Results go to standard output, one line a second in iperf3's shape; with --sink stdout \
      they go to standard error. Faults in what a peer sends end that connection only, and are \
      told with peer, record and byte.

      EXAMPLES
        ingest --port 5301
            count what comes, with a line a second
        ingest --parse lines --sink file:/data/out
            one file per connection, line by line
        ingest --parse wire --checksum crc32c:verify -1 --json
            one connection of ingest-send, verified, as a JSON document
        ingest --parse length:bytes=4,endian=big --sink stdout | consumer
            payloads of length-prefixed records to another program
        ingest --parse described:configs/http-chunked.json5 --sink stdout:bytes=payload
            the chunks of an HTTP response, joined; your own framing needs a file like that
        ingest --parse lines --stage './libwords.so?drop=DEBUG' --sink file:/data/out
            a stage of your own in C or Swift decides which records go on
        ingest --ifname eth1 --queue 8 --memory huge2m
            zero-copy from a NIC's receive queue, which is set up for it and put back
        ingest --ifname eth1 --allow 10.0.0.0/8 --max-bytes-per-peer 1G
            for peers of one network, at that interface's addresses, each with limits
        ingest --config configs/low-latency.json5 --port 6000
            settings of a file; flags override them

      Without --listen it takes connections at every address, with --ifname at that interface's \
      own. --allow names the networks that may connect; the others get a reset. Configuration \
      files and stages that another user could change are refused. There is no TLS: it would undo \
      zero-copy; use WireGuard or IPsec below, or MACsec in the NIC.

      Once it listens it gives up what it no longer needs: capabilities, root's or its user's \
      rights to files, connections and most system calls (--privileges drop). Started as root it \
      becomes nobody, or the owner of the folder that its sink writes to. A stage loaded with \
      --stage is under the same rules; it opens its files when it is made.

      \(HelpText.units)

      \(HelpText.json)

      \(HelpText.signals)

      \(HelpText.exitCodes)
      """)

  @OptionGroup(title: "What to receive")
  var receive: ReceiveOptions
  @OptionGroup(title: "What to print")
  var output: OutputOptions

  mutating func run() throws {
    let configuration = try effectiveConfiguration()
    let settings = Setting<ReceiveConfiguration>.all
    var object = settings.object(of: configuration)
    if output.showConfig {
      object["command"] = .string(RunCommand.name)
      Output.data.line(try JSONText.encode(object, pretty: true))
      return
    }
    if configuration.rebind > 0, receive.supervisor == nil, let ifname = configuration.ifname {
      let rebinding = Rebinding(
        ifname, patience: configuration.rebind,
        arguments: Array(CommandLine.arguments.dropFirst()))
      let code = try rebinding.run()
      if code != 0 { throw ExitCode(code) }
      return
    }
    let session = ReceiveSession(
      configuration, output, object: object, supervisor: receive.supervisor)
    let code = try session.run()
    if code != 0 { throw ExitCode(code) }
  }

  private func effectiveConfiguration() throws -> ReceiveConfiguration {
    let settings = Setting<ReceiveConfiguration>.all
    var configuration = ReceiveConfiguration()
    configuration.privileges = .drop
    if let path = output.config {
      let file = try ConfigurationFile(path)
      try file.check(command: RunCommand.name, keys: settings.map(\.key))
      try file.apply(settings, to: &configuration)
    }
    try settings.apply(receive.overrides, to: &configuration)
    return configuration
  }
}
