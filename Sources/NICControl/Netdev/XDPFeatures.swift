/// What a driver offers to XDP and AF_XDP, as the kernel's bits.
public struct XDPFeatures: Equatable, Sendable {
  /// NETDEV_XDP_ACT_*; 0 for a driver without XDP.
  public var actions: UInt64
  /// NETDEV_XDP_RX_METADATA_*
  public var receiveMetadata: UInt64
  /// NETDEV_XSK_FLAGS_*
  public var socketFlags: UInt64
}

private enum DeviceNumber {
  static let interface: UInt16 = 1
  static let actions: UInt16 = 3
  static let receiveMetadata: UInt16 = 5
  static let socketFlags: UInt16 = 6
}

extension XDPFeatures: AttributeDecodable {
  init(_ attributes: Attributes) throws(MalformedMessage) {
    actions = try attributes.integer(DeviceNumber.actions) ?? 0
    receiveMetadata = try attributes.integer(DeviceNumber.receiveMetadata) ?? 0
    socketFlags = try attributes.integer(DeviceNumber.socketFlags) ?? 0
  }
}

extension NICAccess {
  /// Linux 6.3.
  public func xdpFeatures(of link: Link) throws(NetlinkError) -> XDPFeatures {
    try netdev().get(Netdev.getDevice, "read the XDP features of \(link.name)") {
      $0.add(DeviceNumber.interface, link.index)
    }
  }
}
