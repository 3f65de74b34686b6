/// How a NIC spreads connections over its queues: the main table, or that of an RSS context which
/// n-tuple rules can send connections to (`ethtool -x`).
public struct ReceiveSideScaling: Equatable, Sendable {
  /// 0 for the main table.
  public var context: UInt32
  /// The kernel's bit of the hash function: 1 Toeplitz, 2 XOR, 4 CRC32; nil where not told.
  public var hashFunction: UInt32?
  /// The queue of each hash bucket.
  public var indirection: [UInt32]
  public var key: [UInt8]
  /// The kernel's bits of what is done to the packet's fields before hashing (RXH_XFRM_*).
  public var inputTransformation: UInt32?
}

enum ScalingNumber {
  static let get: UInt8 = 38
  static let set: UInt8 = 48
  static let create: UInt8 = 49
  static let delete: UInt8 = 50
  static let context: UInt16 = 2
  static let hashFunction: UInt16 = 3
  static let indirection: UInt16 = 4
  static let key: UInt16 = 5
  static let inputTransformation: UInt16 = 6
}

extension ReceiveSideScaling: AttributeDecodable {
  init(_ attributes: Attributes) throws(MalformedMessage) {
    context = try attributes.integer(ScalingNumber.context) ?? 0
    hashFunction = try attributes.integer(ScalingNumber.hashFunction)
    indirection = try attributes[ScalingNumber.indirection]?.words() ?? []
    key = attributes[ScalingNumber.key].map { Array($0.value) } ?? []
    inputTransformation = try attributes.integer(ScalingNumber.inputTransformation)
  }
}

extension NICAccess {
  /// The main table. Linux 6.3.
  public func receiveSideScaling(of link: Link) throws(NetlinkError) -> ReceiveSideScaling {
    try ethtool().get(
      ScalingNumber.get, "read the indirection table of \(link.name)", Ethtool.header(link))
  }

  /// The RSS contexts beside the main table. Linux 6.12.
  public func contexts(of link: Link) throws(NetlinkError) -> [ReceiveSideScaling] {
    try ethtool().dump(
      ScalingNumber.get, "list the RSS contexts of \(link.name)", Ethtool.header(link)
    ).filter { $0.context != 0 }
  }
}
