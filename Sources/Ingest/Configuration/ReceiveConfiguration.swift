/// Everything that decides how `ingest` receives. The same names are the keys of a JSON5
/// configuration file; flags override them one by one.
public struct ReceiveConfiguration: Codable, Sendable, Equatable {
  /// Where leases come from. `auto` takes the best that works here and says why not the better.
  public var engine: EngineKind = .auto
  /// Address or host name to listen on; nil is every address of `ifname`, and without that every
  /// address of this machine, IPv6 and IPv4.
  public var listen: String?
  public var port: UInt16 = ReceiveConfiguration.defaultPort
  /// Only accept connections that arrive on this interface (SO_BINDTODEVICE), and where `listen`
  /// says nothing else, for its own addresses.
  public var ifname: String?
  /// Receive queues of `ifname` to bind for zero-copy, with a ring and a thread each.
  public var queues: [Int] = []
  /// Whether `ifname` is set up for zero-copy, and put back at the end.
  public var nic: NICHandling = .apply
  /// Take queues and interfaces that are better left alone: queue 0, the only queue.
  public var force: Bool = false
  public var family: AddressFamily = .any
  /// Rings, each with a thread of its own and a share of the connections (SO_REUSEPORT).
  public var threads: Int = 1
  /// CPUs to pin the threads to, in order; empty takes the allowed CPUs from the last one down.
  public var cpus: [Int] = []
  /// The chain, spelled as on the command line: `KIND[:key=value,…]`.
  public var parse: String = "raw"
  public var checksum: String = "none"
  public var sink: String = "null"
  /// Stages from shared objects between checksum and sink, in order: `PATH?key=value,…`; with
  /// `isolated:` before it in a process of its own.
  public var stages: [String] = []
  /// Seconds that an isolated stage may take over a batch before its process is ended.
  public var stageTimeout: Double = 1
  /// On which thread each part of the chain runs, as `checksum=cpu2,sink=cpu3`; empty is all on the
  /// receiving thread.
  public var place: String = ""
  /// Bytes of area per ring, and of one buffer (a power of two, at least 4096); 0 takes what suits
  /// the engine. A dmabuf given as `memory` is all area.
  public var area: Int = 0
  public var buffer: Int = 0
  /// The share of bytes that may be copied or unknown; more of them end the run with exit code 8.
  public var maxCopied = CopyLimit.none
  /// What kind of memory the area is.
  public var memory: MemoryKind = .pages
  public var receive: ReceiveMode = .auto
  /// Entries of the refill ring and of the completion queue of a zero-copy engine; 0 derives them
  /// from the area.
  public var refill: Int = 0
  public var completions: Int = 0
  /// Who provides the refill ring's memory.
  public var refillMemory: RefillMemoryKind = .user
  /// Poll the NIC for this many microseconds while waiting, instead of its interrupts; 0 does not.
  public var busyPoll: Int = 0
  /// Wait for this many completions (at most a quarter of the area's buffers), but no longer than
  /// `minWait` microseconds once there is one.
  public var waitBatch: Int = 32
  public var minWait: Int = 200
  /// The other end of the trade: hand every completion on at once (waitBatch 1, minWait 0).
  public var latency: Bool = false
  /// Connections open at a time, over all threads; one more is answered with a reset.
  public var maxConnections: Int = 4096
  /// Networks and addresses whose peers may connect (`10.0.0.0/8`, `2001:db8::/32`, `192.0.2.1`);
  /// empty is everybody. Others are answered with a reset before a byte of theirs is read.
  public var allow: [String] = []
  /// Connections of one peer address open at a time, and bytes of one in the whole run, over all
  /// threads; 0 is any number. What an address sends beyond that ends its connections.
  public var connectionsPerPeer: Int = 0
  public var maxBytesPerPeer: UInt64 = 0
  /// The bound of a record's payload, whatever `parse` finds records by; 0 is that framing's own.
  public var maxRecord: Int = 0
  /// SO_RCVBUF of accepted sockets in bytes; 0 leaves TCP's autotuning on.
  public var socketBuffer: Int = 0
  /// Seconds without any answer from a peer's host after which its connection ends as failed
  /// (keepalive probes and TCP_USER_TIMEOUT); 0 leaves it open. A peer that is alive and sends
  /// nothing stays.
  public var peerTimeout: Double = 120
  /// Whether the process gives up what it no longer needs once it is set up: all of it, including
  /// threads that are not the receiver's. A program that goes on to do other things keeps it.
  public var privileges: PrivilegeHandling = .keep
  /// Who the process becomes then, as `NAME|NUMBER[:GROUP]`; nil is who suits the sink.
  public var user: String?
  /// Seconds that `ingest run` waits for its interface when that went away, to bind its queues
  /// anew; 0 ends. A ``Receiver`` of your own ends, and can be made again.
  public var rebind: Double = 0
  /// Stop after this many seconds, received bytes or ended connections; 0 goes on until stopped.
  public var time: Double = 0
  public var bytes: UInt64 = 0
  public var connections: UInt64 = 0
  /// Events that the flight recorder keeps of each thread (32 bytes each, a power of two; 0 records
  /// nothing), and the file it records into; nil keeps them in memory until something fails.
  public var recordEvents: Int = 65536
  public var record: String?

  public init() {}

  public static let defaultPort: UInt16 = 5301
}

/// `zcrx` has the NIC write into the area, `nodev` uses the same rings without a NIC (everything is
/// copied), `copy` is ordinary receive. `auto` is `zcrx` where queues are named, else `copy`.
public enum EngineKind: String, Codable, Sendable, CaseIterable { case auto, zcrx, nodev, copy }
/// `apply` sets header split, channels, RSS and n-tuple rules for the run; `keep` leaves the NIC as
/// it is.
public enum NICHandling: String, Codable, Sendable, CaseIterable { case apply, keep }
/// `drop` leaves no capability, no other user's rights, and only the files, connections and system
/// calls that the chain needs.
public enum PrivilegeHandling: String, Codable, Sendable, CaseIterable { case drop, keep }
public enum RefillMemoryKind: String, Codable, Sendable, CaseIterable { case user, kernel }
public enum AddressFamily: String, Codable, Sendable, CaseIterable { case any, ipv4, ipv6 }

/// How the `copy` engine takes provided buffers: `incremental` packs several receives into one
/// buffer (6.12, in bundles 6.15), `bundle` fills several buffers with one receive (6.10), `plain`
/// is one buffer for one receive (6.0). `auto` is the best the kernel has.
public enum ReceiveMode: String, Codable, Sendable, CaseIterable {
  case auto, incremental, bundle, plain
}
