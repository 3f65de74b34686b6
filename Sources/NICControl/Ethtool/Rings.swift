/// Descriptor rings and header split of a NIC (`ethtool -g`). What a driver does not have is nil.
public struct Rings: Equatable, Sendable {
  /// Receive descriptors of a queue, and how many it can have.
  public var receive: UInt32?
  public var receiveMaximum: UInt32?
  /// Bytes of one receive buffer.
  public var receiveBufferLength: UInt32?
  /// Whether payload lands in memory of its own, apart from the headers.
  public var tcpDataSplit: TCPDataSplit?
  /// Packets with more bytes than this are split; zero-copy receive needs 0.
  public var headerSplitThreshold: UInt32?
  public var headerSplitThresholdMaximum: UInt32?

  /// The numbers are the kernel's (ETHTOOL_TCP_DATA_SPLIT_*).
  ///
  /// The driver has the last word on what is shown: it may show `enabled` while the kernel's own
  /// setting is still `unknown`, and zero-copy receive goes by the latter. Setting it explicitly
  /// always takes effect (net/ethtool/rings.c, rings_prepare_data).
  public enum TCPDataSplit: UInt8, Sendable {
    case unknown = 0
    case disabled = 1
    case enabled = 2
  }
}

private enum RingsNumber {
  static let get: UInt8 = 15
  static let set: UInt8 = 16
  static let receiveMaximum: UInt16 = 2
  static let receive: UInt16 = 6
  static let receiveBufferLength: UInt16 = 10
  static let tcpDataSplit: UInt16 = 11
  static let threshold: UInt16 = 17
  static let thresholdMaximum: UInt16 = 18
}

extension Rings: AttributeDecodable {
  init(_ attributes: Attributes) throws(MalformedMessage) {
    receive = try attributes.integer(RingsNumber.receive)
    receiveMaximum = try attributes.integer(RingsNumber.receiveMaximum)
    receiveBufferLength = try attributes.integer(RingsNumber.receiveBufferLength)
    tcpDataSplit = try attributes.integer(RingsNumber.tcpDataSplit).flatMap(TCPDataSplit.init)
    headerSplitThreshold = try attributes.integer(RingsNumber.threshold)
    headerSplitThresholdMaximum = try attributes.integer(RingsNumber.thresholdMaximum)
  }
}

extension NICAccess {
  /// Linux 5.7; the split 5.18, its threshold 6.14.
  public func rings(of link: Link) throws(NetlinkError) -> Rings {
    try ethtool().get(
      RingsNumber.get, "read the rings of \(link.name)", Ethtool.header(link))
  }
}

/// Settings of the rings to change (`ethtool -G`); what is nil stays.
public struct RingChanges: Equatable, Sendable {
  public var receive: UInt32?
  public var tcpDataSplit: Rings.TCPDataSplit?
  public var headerSplitThreshold: UInt32?

  public init(
    receive: UInt32? = nil, tcpDataSplit: Rings.TCPDataSplit? = nil,
    headerSplitThreshold: UInt32? = nil
  ) {
    self.receive = receive
    self.tcpDataSplit = tcpDataSplit
    self.headerSplitThreshold = headerSplitThreshold
  }
}

extension NICAccess {
  /// Linux 5.7; the split 6.8, its threshold 6.14. Needs CAP_NET_ADMIN. Most drivers restart the
  /// interface for it. Errors: EOPNOTSUPP for what the driver lacks, EINVAL while a queue is
  /// bound and the change would take its split away.
  public func setRings(_ changes: RingChanges, of link: Link) throws(NetlinkError) {
    try ethtool().change(RingsNumber.set, "set the rings of \(link.name)") {
      Ethtool.header(link)(&$0)
      if let entries = changes.receive { $0.add(RingsNumber.receive, entries) }
      if let split = changes.tcpDataSplit { $0.add(RingsNumber.tcpDataSplit, split.rawValue) }
      if let bytes = changes.headerSplitThreshold { $0.add(RingsNumber.threshold, bytes) }
    }
  }
}
