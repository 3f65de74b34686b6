/// Counters of a running sender, read from outside; each only grows.
public struct SendCounters: Codable, Sendable, Equatable {
  public var bytes: UInt64 = 0
  public var records: UInt64 = 0
  /// Sends that completed, and how many of them by which way.
  public var sends: UInt64 = 0
  public var zeroCopySends: UInt64 = 0
  /// Zero-copy sends that the kernel copied anyway (IORING_NOTIF_USAGE_ZC_COPIED, or the error
  /// queue's SO_EE_CODE_ZEROCOPY_COPIED).
  public var copiedSends: UInt64 = 0
  public var copiedBytes: UInt64 = 0
  /// Notifications received; a buffer is used again only after its own.
  public var notifications: UInt64 = 0
  /// Times a stream had data to send and no free buffer.
  public var poolWaits: UInt64 = 0
  public var enters: UInt64 = 0
  public var shortSends: UInt64 = 0
  public var retransmits: UInt64 = 0

  public init() {}
}

public struct SendReport: Sendable {
  public var configuration: SendConfiguration
  public var counters: SendCounters
  public var elapsedSeconds: Double
  public var cpuSeconds: Double
  /// The method used, after `auto` has chosen.
  public var method: SendMethod
  /// What `auto` measured and other remarks, as sentences.
  public var remarks: [String]
  public var streams: [StreamReport]
  public var failure: IngestError?
}

public struct StreamReport: Codable, Sendable, Equatable {
  public var local: String
  public var remote: String
  public var bytes: UInt64
  public var records: UInt64
  public var congestion: String?
  public var retransmits: UInt64
  /// Why the stream ended early, nil for a clean end.
  public var failure: String?
}
