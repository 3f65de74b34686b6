/// Everything that decides how `ingest-send` sends. The same names are the keys of a JSON5
/// configuration file; flags override them one by one.
public struct SendConfiguration: Codable, Sendable, Equatable {
  public var host: String = "127.0.0.1"
  public var port: UInt16 = ReceiveConfiguration.defaultPort
  public var transport: Transport = .tcp
  public var family: AddressFamily = .any
  public var method: SendMethod = .auto
  /// Bytes handed to the kernel with one send.
  public var length: Int = 64 << 10
  /// What is sent: `wire` records (sequence and checksum), a bare `pattern`, or a file.
  public var source: SendSource = .wire
  /// Payload bytes of a wire record: from minimum to maximum, log-uniform; both 0 makes one record
  /// of each send.
  public var recordMinimum: Int = 0
  public var recordMaximum: Int = 0
  /// What record sizes and payload bytes are drawn from.
  public var seed: UInt64 = 1
  /// The digest in wire records.
  public var checksum: WireChecksum = .crc32c
  /// A file to send, once; `-` is standard input.
  public var file: String?
  /// Connections (or UDP flows), and rings with a thread of their own to serve them.
  public var streams: Int = 1
  public var threads: Int = 1
  public var cpus: [Int] = []
  /// Stop after this many seconds, or sent bytes or wire records (each over all streams); all 0:
  /// 10 seconds, or the file's end.
  public var time: Double = 0
  public var bytes: UInt64 = 0
  public var records: UInt64 = 0
  /// Sends prepared for one enter of the kernel.
  public var batch: Int = 8
  /// Bytes of the send pool per thread. Kept off huge pages: registered buffers on large folios
  /// are charged to the socket by the whole folio.
  public var pool: Int = 4 << 20
  /// Release buffers in groups of this many notifications; 1 releases each by itself.
  public var generation: Int = 1
  /// Hand several buffers to one send where the kernel can (IORING_SEND_VECTORIZED, 6.17).
  public var vectored: Bool = false
  /// TCP congestion control; nil leaves the system's.
  public var congestion: String?
  /// Most bits per second over all streams; 0 does not limit.
  public var bitrate: UInt64 = 0
  public var socketBuffer: Int = 0
  /// Seconds to wait for a connection.
  public var connectTimeout: Double = 5

  public init() {}
}

public enum Transport: String, Codable, Sendable, CaseIterable { case tcp, udp }

public enum SendMethod: String, Codable, Sendable, CaseIterable {
  /// Plain send below the crossover measured on this host, registered zero-copy from it on.
  case auto
  case send
  case msgZerocopy = "msg-zerocopy"
  case sendZC = "send-zc"
  case sendZCFixed = "send-zc-fixed"
}

public enum SendSource: String, Codable, Sendable, CaseIterable { case wire, pattern }
public enum WireChecksum: String, Codable, Sendable, CaseIterable { case none, crc32c, xxh3 }
