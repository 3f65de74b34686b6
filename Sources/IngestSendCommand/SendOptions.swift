import ArgumentParser
import CommandSupport
import Ingest

/// The flags of `ingest-send`: one for each key of a sender's configuration.
struct SendOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Where to send; an IPv6 address with a port stands in brackets.", valueName: "host[:port]"))
  var to: String?
  @Option(
    name: [.customShort("p", allowingJoined: true), .long],
    help: "The receiver's port (5301 if not given).")
  var port: String?
  @Flag(name: [.short, .long], help: "Send UDP datagrams; ingest itself receives TCP only.")
  var udp = false
  @Option(help: ArgumentHelp("tcp or udp: the same as a key.", visibility: .hidden))
  var transport: String?
  @Flag(name: [.customShort("4"), .customLong("version4")], help: "IPv4 only.")
  var ipv4 = false
  @Flag(name: [.customShort("6"), .customLong("version6")], help: "IPv6 only.")
  var ipv6 = false
  @Option(help: ArgumentHelp("any, ipv4 or ipv6: the same as a key.", visibility: .hidden))
  var family: String?

  @Option(
    help: ArgumentHelp(
      "auto, send, msg-zerocopy, send-zc, send-zc-fixed.", valueName: "method"))
  var method: String?
  @Option(
    name: [.customShort("l", allowingJoined: true), .long],
    help: ArgumentHelp(
      "Bytes given to the kernel with one send (64K; 1452 with -u).", valueName: "size"))
  var length: String?
  @Option(
    help: ArgumentHelp(
      "wire: records with sequence and digest; pattern: bare bytes.", valueName: "kind"))
  var source: String?
  @Option(
    help: ArgumentHelp("Smallest payload of a wire record.", valueName: "size"))
  var recordMinimum: String?
  @Option(
    help: ArgumentHelp("Largest; without both, each send is one record.", valueName: "size"))
  var recordMaximum: String?
  @Option(help: ArgumentHelp("What record sizes and payload are drawn from.", valueName: "number"))
  var seed: String?
  @Option(help: ArgumentHelp("Digest in wire records: crc32c, xxh3, none.", valueName: "kind"))
  var checksum: String?
  @Option(
    name: [.customShort("F", allowingJoined: true), .long],
    help: ArgumentHelp("Send this file once; - is standard input.", valueName: "path"))
  var file: String?

  @Option(
    name: [.customShort("P", allowingJoined: true), .long, .customLong("parallel")],
    help: ArgumentHelp("Connections, or UDP flows, at a time.", valueName: "count"))
  var streams: String?
  @Option(help: ArgumentHelp("Threads to serve them, each with a ring.", valueName: "count"))
  var threads: String?
  @Option(
    name: [.customShort("A", allowingJoined: true), .long],
    help: ArgumentHelp("Pin the threads to these CPUs, in order.", valueName: "1,3-5"))
  var cpus: String?
  @Option(
    name: [.customShort("t", allowingJoined: true), .long],
    help: ArgumentHelp("Stop after this long (10s).", valueName: "5s"))
  var time: String?
  @Option(
    name: [.customShort("n", allowingJoined: true), .long],
    help: ArgumentHelp("Stop after this many bytes.", valueName: "size"))
  var bytes: String?
  @Option(help: ArgumentHelp("Stop after this many wire records.", valueName: "count"))
  var records: String?
  @Option(
    name: [.customShort("b", allowingJoined: true), .long],
    help: ArgumentHelp("Send no faster than this.", valueName: "rate"))
  var bitrate: String?

  @Option(
    help: ArgumentHelp("Sends prepared for one entry of the kernel.", valueName: "count"))
  var batch: String?
  @Option(help: ArgumentHelp("Memory that is sent from, per thread.", valueName: "size"))
  var pool: String?
  @Option(
    help: ArgumentHelp(
      "Use buffers again in groups of this many notifications.", valueName: "count"))
  var generation: String?
  @Flag(
    inversion: .prefixedNo, help: "Give several buffers to one send where the kernel can.")
  var vectored: Bool?
  @Option(
    name: [.customShort("C", allowingJoined: true), .long],
    help: ArgumentHelp("TCP congestion control, such as cubic.", valueName: "name"))
  var congestion: String?
  @Option(
    name: [.customShort("w", allowingJoined: true), .long],
    help: ArgumentHelp("SO_SNDBUF; 0 leaves TCP's autotuning on.", valueName: "size"))
  var socketBuffer: String?
  @Option(help: ArgumentHelp("Wait this long for a connection (5s).", valueName: "5s"))
  var connectTimeout: String?

  func validate() throws {
    if ipv4 && ipv6 { throw ValidationError("-4 and -6 cannot be given together") }
  }

  /// The flags that were given, in the order in which they apply.
  func overrides() throws(IngestError) -> [Override] {
    let target = try to.map { text throws(IngestError) in try Target(text) }
    return [
      Override("--to", "host", target?.host),
      Override("--to", "port", target?.port),
      Override("--port", "port", port),
      Override("--transport", "transport", transport),
      Override("--udp", "transport", udp ? "udp" : nil),
      Override("--family", "family", family),
      Override("-4", "family", ipv4 ? "ipv4" : nil),
      Override("-6", "family", ipv6 ? "ipv6" : nil),
      Override("--method", "method", method),
      Override("--length", "length", length),
      Override("--source", "source", source),
      Override("--record-minimum", "recordMinimum", recordMinimum),
      Override("--record-maximum", "recordMaximum", recordMaximum),
      Override("--seed", "seed", seed),
      Override("--checksum", "checksum", checksum),
      Override("--file", "file", file),
      Override("--streams", "streams", streams),
      Override("--threads", "threads", threads),
      Override("--cpus", "cpus", cpus),
      Override("--time", "time", time),
      Override("--bytes", "bytes", bytes),
      Override("--records", "records", records),
      Override("--bitrate", "bitrate", bitrate),
      Override("--batch", "batch", batch),
      Override("--pool", "pool", pool),
      Override("--generation", "generation", generation),
      Override("--vectored", "vectored", vectored.map { $0 ? "true" : "false" }),
      Override("--congestion", "congestion", congestion),
      Override("--socket-buffer", "socketBuffer", socketBuffer),
      Override("--connect-timeout", "connectTimeout", connectTimeout),
    ].compactMap { $0 }
  }
}

/// `HOST`, `HOST:PORT`, `[IPv6]:PORT`, or a bare IPv6 address.
struct Target {
  var host: String
  var port: String?

  init(_ text: String) throws(IngestError) {
    if text.hasPrefix("[") {
      guard let close = text.firstIndex(of: "]") else { throw Target.malformed(text) }
      host = String(text[text.index(after: text.startIndex)..<close])
      let rest = text[text.index(after: close)...]
      guard rest.isEmpty || rest.hasPrefix(":") && rest.count > 1 else {
        throw Target.malformed(text)
      }
      port = rest.isEmpty ? nil : String(rest.dropFirst())
      return
    }
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    // More than one colon: an IPv6 address without a port.
    guard parts.count == 2 else {
      host = text
      return
    }
    guard !parts[0].isEmpty, !parts[1].isEmpty else { throw Target.malformed(text) }
    host = String(parts[0])
    port = String(parts[1])
  }

  private static func malformed(_ text: String) -> IngestError {
    IngestError(
      .usage, "--to \(text): expected HOST, HOST:PORT or [IPV6]:PORT",
      remedy: "for example --to 192.0.2.1:5301 or --to [2001:db8::1]:5301")
  }
}
