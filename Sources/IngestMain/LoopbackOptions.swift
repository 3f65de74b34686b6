import ArgumentParser
import CommandSupport
import Ingest

/// The flags of `ingest loopback`: the ones people turn first. A configuration file reaches every
/// key of both ends.
struct LoopbackOptions: ParsableArguments {
  @Option(
    name: [.customShort("t", allowingJoined: true), .long],
    help: ArgumentHelp("Send for this long.", valueName: "5s"))
  var time: String?
  @Option(
    name: [.customShort("n", allowingJoined: true), .long],
    help: ArgumentHelp("Send this many bytes instead.", valueName: "size"))
  var bytes: String?
  @Option(
    help: ArgumentHelp("Send this many wire records instead.", valueName: "count"))
  var records: String?
  @Option(
    name: [.customShort("P", allowingJoined: true), .long, .customLong("parallel")],
    help: ArgumentHelp("Connections at a time.", valueName: "count"))
  var streams: String?
  @Option(
    name: [.customShort("l", allowingJoined: true), .long],
    help: ArgumentHelp("Bytes given to the kernel with one send.", valueName: "size"))
  var length: String?
  @Option(help: ArgumentHelp("Smallest payload of a record.", valueName: "size"))
  var recordMinimum: String?
  @Option(
    help: ArgumentHelp("Largest; without both, each send is one record.", valueName: "size"))
  var recordMaximum: String?
  @Option(
    help: ArgumentHelp("auto, send, msg-zerocopy, send-zc, send-zc-fixed.", valueName: "method"))
  var method: String?
  @Option(
    name: [.customShort("C", allowingJoined: true), .long],
    help: ArgumentHelp(
      "TCP congestion control (cubic where it may be used, else reno).", valueName: "name"))
  var congestion: String?
  @Option(
    name: [.customShort("b", allowingJoined: true), .long],
    help: ArgumentHelp("Send no faster than this.", valueName: "rate"))
  var bitrate: String?
  @Flag(name: [.customShort("6"), .customLong("version6")], help: "Over IPv6.")
  var ipv6 = false
  @Flag(name: [.customShort("4"), .customLong("version4")], help: "Over IPv4 (if not given).")
  var ipv4 = false
  @Option(help: ArgumentHelp("How records are found (wire).", valueName: "kind[:options]"))
  var parse: String?
  @Option(
    help: ArgumentHelp("Digests to verify (crc32c:verify).", valueName: "kind[:verify]"))
  var checksum: String?
  @Option(help: ArgumentHelp("Where records go (null).", valueName: "kind[:argument]"))
  var sink: String?
  @Option(help: ArgumentHelp("Receiving threads.", valueName: "count"))
  var threads: String?
  @Option(
    name: [.customShort("A", allowingJoined: true), .long],
    help: ArgumentHelp("CPUs of the sender, and of the receiver.", valueName: "n,m"))
  var affinity: String?
  @Flag(inversion: .prefixedNo, help: "Receiver wakes up for each completion.")
  var latency: Bool?

  func validate() throws {
    if ipv4 && ipv6 { throw ValidationError("-4 and -6 cannot be given together") }
    if let affinity, affinity.split(separator: ",").count != 2 {
      throw ValidationError("--affinity \(affinity): expected two CPU numbers, such as 0,1")
    }
  }

  private var cpus: [String?] { affinity.map { $0.split(separator: ",").map(String.init) } ?? [] }

  var receiveOverrides: [Override] {
    [
      Override("-4", "listen", ipv4 ? "127.0.0.1" : nil),
      Override("-6", "listen", ipv6 ? "::1" : nil),
      Override("--parse", "parse", parse),
      Override("--checksum", "checksum", checksum),
      Override("--sink", "sink", sink),
      Override("--threads", "threads", threads),
      Override("--affinity", "cpus", cpus.last ?? nil),
      Override("--latency", "latency", latency.map { $0 ? "true" : "false" }),
    ].compactMap { $0 }
  }

  /// What records must carry, so that they can be verified.
  private var digest: String? {
    guard let checksum, checksum.hasSuffix(":verify") else { return nil }
    return String(checksum.dropLast(":verify".count))
  }

  var sendOverrides: [Override] {
    [
      Override("--checksum", "checksum", digest),
      Override("--time", "time", time),
      Override("--bytes", "bytes", bytes),
      Override("--records", "records", records),
      Override("--streams", "streams", streams),
      Override("--length", "length", length),
      Override("--record-minimum", "recordMinimum", recordMinimum),
      Override("--record-maximum", "recordMaximum", recordMaximum),
      Override("--method", "method", method),
      Override("--congestion", "congestion", congestion),
      Override("--bitrate", "bitrate", bitrate),
      Override("--affinity", "cpus", cpus.first ?? nil),
    ].compactMap { $0 }
  }
}
