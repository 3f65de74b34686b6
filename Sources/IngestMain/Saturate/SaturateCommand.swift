import ArgumentParser
import CommandSupport
import Ingest

/// `ingest saturate`: both ends at full speed, and the name of what stops them going faster.
struct SaturateCommand: ParsableCommand {
  static let name = "ingest saturate"
  static let configuration = CommandConfiguration(
    commandName: "saturate",
    abstract: "Drive both ends as fast as they go, and name what limits them.",
    discussion: """
      A sender and a receiver run in this process as in `ingest loopback`, with the chain that you \
      name. Meanwhile their threads, CPUs, soft interrupts, sockets (TCP_INFO) and counters are \
      watched. The result names the limiter, with its evidence and what helps:

        sender           its thread has no CPU time left
        soft-interrupts  the kernel's protocol work has none left
        application      the receiving thread has none left, or others take it
        link             the path carries no more, or --bitrate says so
        copies           the receiving thread's time goes into the kernel's copying
        ring             buffers, ring entries or the sockets' buffers run out
        stage            one part of the chain: parse, checksum, stage (yours), sink

      Beside it stands what a model makes of the measured costs: the rate at which each part would \
      be used up. With --rate it also works out what a NIC of that rate asks of this host: \
      completions per second, cores, area and rings. Loopback has no driver and copies every byte, \
      so that a plan for zero-copy receive is too careful about the kernel and knows nothing of \
      the driver.

      The whole machine is looked at: other work on it is part of the answer. To try a slow path, \
      run it where `lo` is one:
        ip netns add slow && ip netns exec slow ip link set lo up
        ip netns exec slow tc qdisc add dev lo root tbf rate 1gbit burst 256k latency 20ms
        ip netns exec slow ingest saturate

      EXAMPLES
        ingest saturate
        ingest saturate -t 10 --parse lines --checksum none --sink file:/tmp/out
        ingest saturate --parse raw --checksum none --stage ./libwords.so
        ingest saturate --rate 200G --mtu 4096 --buffer 4K
        ingest saturate --json | jq .end.saturation.finding

      \(HelpText.units)

      \(HelpText.json)
      end.saturation holds finding (limiter, confidence, reasons), evidence, costs,
      expected (the model of this run) and plan (that of --rate).

      \(HelpText.signals)

      \(HelpText.exitCodes)
      """)

  @OptionGroup(title: "What to do")
  var loopback: LoopbackOptions
  @OptionGroup(title: "The receiver, and the NIC to plan for")
  var saturate: SaturateOptions
  @OptionGroup(title: "What to print")
  var output: OutputOptions

  mutating func run() throws {
    let setup = try LoopbackSetup(
      command: SaturateCommand.name, loopback, output, receiveMore: saturate.overrides)
    if try setup.isPrinted(output) { return }
    let watch = SaturationWatch(seconds: setup.send.time, nic: saturate.nic)
    let code = try LoopbackSession(setup, output, saturation: watch).run()
    if code != 0 { throw ExitCode(code) }
  }
}
