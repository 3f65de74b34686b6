import ArgumentParser
import CommandSupport
import Ingest
import NICControl

/// `ingest doctor`: what this machine has, and what it lacks for zero-copy receive.
struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Say what this machine has for zero-copy receive, and what to do where it lacks.",
    discussion: """
      Looks and changes nothing. Each line is ok, a warning (it works, with a cost, or something \
      is still to be done) or blocks (`ingest run` with the same flags is refused); the line \
      below names the command that mends it. What blocks is told in the words of that refusal.

      Without flags it is about the kernel alone. --ifname and --queue add the NIC: driver, \
      header split, who has the queue, and what leads connections to it. --memory, --area, \
      --buffer and --cpus mean what they mean to `ingest run`.

      A warning that only the driver can resolve is what --probe-bind is for: it binds the queue \
      for a moment, as TCP devmem does, which has the kernel answer in a sentence. That restarts \
      the queue twice; packets on their way through it are sent again by TCP. It needs \
      CAP_NET_ADMIN and /dev/udmabuf (`modprobe udmabuf`).

      EXAMPLES
        ingest doctor
            the kernel
        ingest doctor --ifname eth1 --queue 8
            and this queue
        ingest doctor --ifname eth1 --queue 8-11 --memory huge2m --area 256M
            four queues, and whether there are huge pages for their areas
        ingest doctor --ifname eth1 --queue 8 --json | jq '.findings[] | select(.verdict=="blocks")'
            what is in the way, for a program

      Exit code 0 if nothing blocks, 3 if something does.
      """)

  @Option(help: ArgumentHelp("Look at this interface.", valueName: "interface"))
  var ifname: String?
  @Option(
    name: [.customLong("queue"), .customLong("queues")],
    help: ArgumentHelp("Look at these receive queues of it.", valueName: "8,9-11"))
  var queues: String?
  @Option(help: ArgumentHelp("The area that is wanted, per queue.", valueName: "size"))
  var area: String?
  @Option(
    name: [.customShort("l", allowingJoined: true), .long],
    help: ArgumentHelp("One buffer of it; a power of two.", valueName: "size"))
  var buffer: String?
  @Option(
    help: ArgumentHelp(
      "What it is made of: pages, thp, huge2m, huge1g, udmabuf[:huge2m], dma-heap[:NAME].",
      valueName: "kind"))
  var memory: String?
  @Option(
    name: [.customShort("A", allowingJoined: true), .long],
    help: ArgumentHelp("The CPUs that threads will be pinned to.", valueName: "1,3-5"))
  var cpus: String?
  @Option(
    name: [.customShort("p", allowingJoined: true), .long],
    help: ArgumentHelp(
      "The port that connections will come to, for the rule that leads them.", valueName: "port"))
  var port: String?
  @Option(
    help: ArgumentHelp(
      "Whether `ingest run` may set the NIC up (apply), or takes it as it is (keep).",
      valueName: "apply|keep"))
  var nic: String?
  @Flag(help: "Bind the queue for a moment, for the kernel's own words; this restarts it.")
  var probeBind = false
  @Flag(name: [.customShort("J"), .long], help: "Print the findings as JSON.")
  var json = false

  mutating func run() throws {
    let findings = try findings()
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

  private func findings() throws(IngestError) -> [Finding] {
    guard ifname != nil || queues != nil else {
      let others = overrides.map(\.flag) + (probeBind ? ["--probe-bind"] : [])
      guard let flag = others.first else { return Doctor.kernel() }
      throw IngestError(
        .usage, "\(flag) is about a queue, and none is named",
        remedy: "for example --ifname eth1 --queue 8")
    }
    var configuration = ReceiveConfiguration()
    try Setting<ReceiveConfiguration>.all.apply(overrides, to: &configuration)
    return try Doctor.receive(configuration, binds: probeBind)
  }

  private var overrides: [Override] {
    [
      Override("--ifname", "ifname", ifname),
      Override("--queue", "queues", queues),
      Override("--area", "area", area),
      Override("--buffer", "buffer", buffer),
      Override("--memory", "memory", memory),
      Override("--cpus", "cpus", cpus),
      Override("--port", "port", port),
      Override("--nic", "nic", nic),
    ].compactMap { $0 }
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
