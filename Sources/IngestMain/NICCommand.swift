import ArgumentParser
import CommandSupport
import Ingest
import NICControl

/// `ingest nic`: the settings of a NIC that zero-copy receive needs.
struct NICCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nic",
    abstract: "Show, plan, make and undo what zero-copy receive needs of a NIC.",
    discussion: """
      `ingest run --ifname IFNAME --queue N` does this by itself, and undoes it at the end. These \
      commands show what it would do, do it for longer, and put back what a killed process left.

      What is changed is noted in /run/ingest before the first change. Where somebody else has \
      changed a setting since, it is left as it is, and the exit code is 9.

      EXAMPLES
        ingest nic show --ifname eth1
        ingest nic plan --ifname eth1 --queue 8 --port 5301
        ingest nic apply --ifname eth1 --queue 8-11 --port 5301
        ingest nic restore --ifname eth1 --all
      """,
    subcommands: [NICShow.self, NICPlanCommand.self, NICApply.self, NICRestore.self])
}

/// The flags of a wish.
struct NICWishOptions: ParsableArguments {
  @Option(help: "The interface.")
  var ifname: String
  @Option(
    name: [.customLong("queue"), .customLong("queues")],
    help: ArgumentHelp("Receive queues to set apart.", valueName: "8,9-11"))
  var queues: String
  @Option(
    name: [.customShort("p", allowingJoined: true), .long],
    help: ArgumentHelp(
      "TCP ports to steer there (5301 if not given).", valueName: "5301,5401-5402"))
  var port: String?
  @Flag(name: [.customShort("4"), .customLong("version4")], help: "IPv4 only.")
  var ipv4 = false
  @Flag(name: [.customShort("6"), .customLong("version6")], help: "IPv6 only.")
  var ipv6 = false
  @Option(help: ArgumentHelp("Descriptors of a receive ring.", valueName: "count"))
  var rxRing: UInt32?
  @Flag(help: "Take queue 0 or the only queue, too, though other traffic needs it.")
  var force = false

  func wish() throws -> NICWish {
    var configuration = ReceiveConfiguration()
    let settings = Setting<ReceiveConfiguration>.all
    try settings.apply(
      [Override("--queue", "queues", queues)].compactMap(\.self), to: &configuration)
    let numbers = configuration.queues
    let list = port ?? "\(ReceiveConfiguration.defaultPort)"
    try settings.apply([Override("--port", "queues", list)].compactMap(\.self), to: &configuration)
    let ports = try configuration.queues.map { number in
      guard let port = UInt16(exactly: number), port != 0 else {
        throw ValidationError("--port \(number): expected 1 to 65535")
      }
      return port
    }
    guard !(ipv4 && ipv6) else { throw ValidationError("-4 and -6 cannot be given together") }
    guard Set(numbers).count == numbers.count, Set(ports).count == ports.count else {
      throw ValidationError("--queue and --port name each number once")
    }
    let family: AddressFamily = ipv6 ? .ipv6 : ipv4 ? .ipv4 : .any
    let flows = ports.flatMap { NICSetup.flows(ifname, port: $0, family: family) }
    return NICWish(
      queues: numbers.map { UInt32(clamping: $0) }, flows: flows, receiveRing: rxRing)
  }
}

/// `ingest nic plan`: what would be done, and how to do it by hand.
struct NICPlanCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan",
    abstract: "Print what would be changed, and the ethtool lines that do the same.",
    discussion: "Changes nothing. No line means that all is as it should be.")

  @OptionGroup var options: NICWishOptions
  @Flag(name: [.customShort("J"), .long], help: "Print the plan as JSON.")
  var json = false

  mutating func run() throws {
    let plan = try NICSetup.plan(options.ifname, try options.wish(), force: options.force)
    try NICOutput.print(plan, options.ifname, json: json, isDone: false)
  }
}

/// `ingest nic apply`: does it, until it is undone.
struct NICApply: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "apply",
    abstract: "Set the NIC up, until `ingest nic restore --all`.",
    discussion: """
      Where a step fails, those before it are undone. Applied twice, the second changes nothing.
      """)

  @OptionGroup var options: NICWishOptions
  @Flag(help: "Change nothing: the same as `ingest nic plan`.")
  var dryRun = false
  @Flag(name: [.customShort("J"), .long], help: "Print what was done as JSON.")
  var json = false

  mutating func run() throws {
    let wish = try options.wish()
    if dryRun {
      let plan = try NICSetup.plan(options.ifname, wish, force: options.force)
      return try NICOutput.print(plan, options.ifname, json: json, isDone: false)
    }
    let setup = try NICSetup(options.ifname, wish, force: options.force, forProcess: false)
    try NICOutput.print(setup.plan, options.ifname, json: json, isDone: true)
  }
}

/// `ingest nic restore`: puts back what was left.
struct NICRestore: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "restore",
    abstract: "Undo what killed processes left at the NIC; with --all, `nic apply` too.",
    discussion: """
      What running processes need stays. Without anything to undo it says so and succeeds, so that \
      it can stand in a unit's ExecStopPost=.
      """)

  @Option(help: "The interface.")
  var ifname: String
  @Flag(name: [.customShort("a"), .customLong("all")], help: "Undo `ingest nic apply`, too.")
  var everything = false
  @Flag(name: [.customShort("J"), .long], help: "Print what was done as JSON.")
  var json = false

  mutating func run() throws {
    var steps: [String] = []
    let kept: [String]?
    do throws(IngestError) {
      kept = try NICSetup.restore(ifname, everything: everything) { steps.append($0) }
    } catch {
      throw IngestError(
        error.kind == .noPrivilege ? .noPrivilege : .notRestored, error.what,
        remedy: error.remedy)
    }
    if json {
      let report = NICOutput.Restored(
        schema: Schema.name, ifname: ifname, steps: steps, kept: kept ?? [])
      Output.data.line(try JSONText.encode(report, pretty: true))
    } else {
      for step in steps { Output.data.line("\(ifname): \(step)") }
      for sentence in kept ?? [] { Output.data.line("\(ifname): \(sentence)") }
      if steps.isEmpty && (kept ?? []).isEmpty {
        Output.data.line("\(ifname): nothing to undo")
      }
    }
    if !(kept ?? []).isEmpty { throw ExitCode(IngestError.Kind.notRestored.rawValue) }
  }
}
