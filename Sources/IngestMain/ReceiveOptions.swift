import ArgumentParser
import CommandSupport
import Ingest

/// The flags of `ingest run`: one for each key of a receiver's configuration.
struct ReceiveOptions: ParsableArguments {
  @Option(
    name: [.customShort("B", allowingJoined: true), .long],
    help: ArgumentHelp(
      "Listen on this address or host name (those of --ifname, else all; :: is all).",
      valueName: "address"))
  var listen: String?
  @Option(
    name: [.customShort("p", allowingJoined: true), .long],
    help: ArgumentHelp("Listen on this port (5301 if not given; 0 lets the kernel choose)."))
  var port: String?
  @Option(help: ArgumentHelp("Accept only what arrives on this interface.", valueName: "eth1"))
  var ifname: String?
  @Option(
    name: [.customLong("queue"), .customLong("queues")],
    help: ArgumentHelp(
      "Bind these receive queues of it for zero-copy, a thread each.", valueName: "8,9-11"))
  var queues: String?
  @Option(
    help: ArgumentHelp(
      "apply: set the NIC up for these queues, and put it back at the end. keep: leave it.",
      valueName: "apply|keep"))
  var nic: String?
  @Flag(help: "Take queue 0 or the only queue, too, though other traffic needs it.")
  var force = false
  @Option(
    help: ArgumentHelp(
      "Serve only peers of this network or address; again for more. Others get a reset.",
      valueName: "10.0.0.0/8|2001:db8::1"))
  var allow: [String] = []
  @Flag(name: [.customShort("4"), .customLong("version4")], help: "IPv4 only.")
  var ipv4 = false
  @Flag(name: [.customShort("6"), .customLong("version6")], help: "IPv6 only.")
  var ipv6 = false
  @Option(help: ArgumentHelp("any, ipv4 or ipv6: the same as a key.", visibility: .hidden))
  var family: String?

  @Option(
    help: ArgumentHelp(
      "How records are found: raw, lines, length, fixed, wire, or described by a file.",
      valueName: "kind[:options]"))
  var parse: String?
  @Option(
    help: ArgumentHelp(
      "What digests are computed or verified: none, crc32c, xxh3.", valueName: "kind[:verify]"))
  var checksum: String?
  @Option(help: ArgumentHelp("Where records go: null, file, stdout.", valueName: "kind[:argument]"))
  var sink: String?

  @Option(
    name: [.customLong("stage"), .customLong("stages")],
    help: ArgumentHelp(
      "Put a shared object's stage before the sink (ingest_stage.h); again for more, in order.",
      valueName: "path[?key=value,…]"))
  var stage: [String] = []
  @Option(
    help: ArgumentHelp(
      "The same in a process of its own, which may crash or hang; comes after those of --stage.",
      valueName: "path[?key=value,…]"))
  var stageIsolated: [String] = []
  @Option(help: ArgumentHelp("How long that process may take for a batch.", valueName: "1s"))
  var stageTimeout: String?

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Run checksum and sink on threads of their own: checksum=cpu2 sink=cpu3.",
      valueName: "part=own|cpuN[-M]"))
  var place: [String] = []

  @Option(help: "Receiving threads, each with a ring and a share of the connections.")
  var threads: String?
  @Option(
    name: [.customShort("A", allowingJoined: true), .long],
    help: ArgumentHelp("Pin the threads to these CPUs, in order.", valueName: "1,3-5"))
  var cpus: String?
  @Option(help: ArgumentHelp("Where bytes come from: auto, zcrx, nodev, copy.", valueName: "kind"))
  var engine: String?
  @Option(help: ArgumentHelp("Memory that is received into, per thread.", valueName: "size"))
  var area: String?
  @Option(
    name: [.customShort("l", allowingJoined: true), .long],
    help: ArgumentHelp("One buffer of that memory; a power of two.", valueName: "size"))
  var buffer: String?
  @Option(
    help: ArgumentHelp(
      "What that memory is: pages (4 KiB), thp, huge2m, huge1g, udmabuf[:huge2m], dma-heap[:NAME].",
      valueName: "kind"))
  var memory: String?
  @Option(
    help: ArgumentHelp(
      "The share of bytes that may be copied or unknown; else exit code 8.", valueName: "5%"))
  var maxCopied: String?
  @Option(
    name: .customLong("dmabuf-fd"),
    help: ArgumentHelp(
      "Receive into this open dmabuf, all of it (--memory dmabuf-fd:N).", valueName: "N"))
  var dmabuf: String?
  @Option(
    help: ArgumentHelp(
      "How the kernel fills buffers: auto, incremental, bundle, plain.", valueName: "mode"))
  var receive: String?
  @Option(help: ArgumentHelp("Entries of the refill ring; 0 suits the area.", valueName: "count"))
  var refill: String?
  @Option(
    help: ArgumentHelp("Entries of the completion queue; 0 suits the area.", valueName: "count"))
  var completions: String?
  @Option(help: ArgumentHelp("Who provides the refill ring: user, kernel.", valueName: "kind"))
  var refillMemory: String?
  @Option(help: ArgumentHelp("Poll the NIC this long while waiting.", valueName: "50us"))
  var busyPoll: String?
  @Option(
    help: ArgumentHelp(
      "Wake up for this many completions (32), a quarter of the buffers at most.",
      valueName: "count"))
  var waitBatch: String?
  @Option(
    help: ArgumentHelp("But wait no longer than this once there is one.", valueName: "200us"))
  var minWait: String?
  @Flag(inversion: .prefixedNo, help: "Wake up for each completion: lowest latency, more CPU.")
  var latency: Bool?
  @Option(
    help: ArgumentHelp(
      "Connections open at a time; more are turned away (4096).", valueName: "count"))
  var maxConnections: String?
  @Option(
    help: ArgumentHelp(
      "The same for each peer address; 0 is any number.", valueName: "count"))
  var connectionsPerPeer: String?
  @Option(
    help: ArgumentHelp(
      "Bytes of each peer address in the whole run; its connections end with what is beyond.",
      valueName: "size"))
  var maxBytesPerPeer: String?
  @Option(
    help: ArgumentHelp(
      "Payload of a record, whatever --parse finds; a longer one ends its connection.",
      valueName: "size"))
  var maxRecord: String?
  @Option(
    name: [.customShort("w", allowingJoined: true), .long],
    help: ArgumentHelp("SO_RCVBUF of connections; 0 leaves TCP's autotuning on.", valueName: "size")
  )
  var socketBuffer: String?
  @Option(
    help: ArgumentHelp(
      "End connections whose peer's host answers nothing for so long; 0 never.", valueName: "2m"))
  var peerTimeout: String?

  @Option(
    help: ArgumentHelp(
      "When the interface goes away, wait this long for it and start anew; each start is a run.",
      valueName: "1m"))
  var rebind: String?
  /// Where the process that starts anew listens.
  @Option(help: .hidden)
  var supervisor: Int32?

  @Option(
    help: ArgumentHelp(
      "drop: once set up, keep no right but what the chain needs. keep: change nothing.",
      valueName: "drop|keep"))
  var privileges: String?
  @Option(
    help: ArgumentHelp(
      "Started as root, become this user (nobody, or the owner of the sink's folder).",
      valueName: "name[:group]"))
  var user: String?

  @Option(
    name: [.customShort("t", allowingJoined: true), .long],
    help: ArgumentHelp("Stop after this long.", valueName: "5s"))
  var time: String?
  @Option(
    name: [.customShort("n", allowingJoined: true), .long],
    help: ArgumentHelp("Stop after this many bytes.", valueName: "size"))
  var bytes: String?
  @Option(help: ArgumentHelp("Stop after this many connections have ended.", valueName: "count"))
  var connections: String?
  @Flag(name: [.customShort("1"), .customLong("one-off")], help: "Stop after one connection.")
  var oneOff = false

  @Option(
    help: ArgumentHelp(
      "Record the threads' last events into this file as they happen (see `ingest help flight`).",
      valueName: "path"))
  var record: String?
  @Option(
    help: ArgumentHelp(
      "How many events of each thread are kept, 32 bytes each; 0 records nothing.",
      valueName: "65536"))
  var recordEvents: String?

  func validate() throws {
    if ipv4 && ipv6 { throw ValidationError("-4 and -6 cannot be given together") }
    guard let dmabuf else { return }
    if memory != nil { throw ValidationError("--memory and --dmabuf-fd cannot be given together") }
    guard MemoryKind(rawValue: "dmabuf-fd:\(dmabuf)") != nil else {
      throw ValidationError(
        "--dmabuf-fd \(dmabuf): expected the number of an open descriptor, such as 5")
    }
  }

  /// All stages, one on each line.
  private var stages: String? {
    let all = stage + stageIsolated.map { "isolated:" + $0 }
    return all.isEmpty ? nil : all.joined(separator: "\n")
  }

  var overrides: [Override] {
    [
      Override("--listen", "listen", listen),
      Override("--port", "port", port),
      Override("--ifname", "ifname", ifname),
      Override("--queue", "queues", queues),
      Override("--nic", "nic", nic),
      Override("--force", "force", force ? "true" : nil),
      Override("--allow", "allow", allow.isEmpty ? nil : allow.joined(separator: "\n")),
      Override("--family", "family", family),
      Override("-4", "family", ipv4 ? "ipv4" : nil),
      Override("-6", "family", ipv6 ? "ipv6" : nil),
      Override("--parse", "parse", parse),
      Override("--checksum", "checksum", checksum),
      Override("--sink", "sink", sink),
      Override("--stage", "stages", stages),
      Override("--stage-timeout", "stageTimeout", stageTimeout),
      Override("--place", "place", place.isEmpty ? nil : place.joined(separator: ",")),
      Override("--threads", "threads", threads),
      Override("--cpus", "cpus", cpus),
      Override("--engine", "engine", engine),
      Override("--area", "area", area),
      Override("--buffer", "buffer", buffer),
      Override("--max-copied", "maxCopied", maxCopied),
      Override("--memory", "memory", memory),
      Override("--dmabuf-fd", "memory", dmabuf.map { "dmabuf-fd:\($0)" }),
      Override("--receive", "receive", receive),
      Override("--refill", "refill", refill),
      Override("--completions", "completions", completions),
      Override("--refill-memory", "refillMemory", refillMemory),
      Override("--busy-poll", "busyPoll", busyPoll),
      Override("--wait-batch", "waitBatch", waitBatch),
      Override("--min-wait", "minWait", minWait),
      Override("--latency", "latency", latency.map { $0 ? "true" : "false" }),
      Override("--max-connections", "maxConnections", maxConnections),
      Override("--connections-per-peer", "connectionsPerPeer", connectionsPerPeer),
      Override("--max-bytes-per-peer", "maxBytesPerPeer", maxBytesPerPeer),
      Override("--max-record", "maxRecord", maxRecord),
      Override("--socket-buffer", "socketBuffer", socketBuffer),
      Override("--peer-timeout", "peerTimeout", peerTimeout),
      Override("--rebind", "rebind", rebind),
      Override("--privileges", "privileges", privileges),
      Override("--user", "user", user),
      Override("--time", "time", time),
      Override("--bytes", "bytes", bytes),
      Override("-1", "connections", oneOff ? "1" : nil),
      Override("--connections", "connections", connections),
      Override("--record", "record", record),
      Override("--record-events", "recordEvents", recordEvents),
    ].compactMap { $0 }
  }
}
