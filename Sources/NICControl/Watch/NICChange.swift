/// A change of an interface that the kernel told of.
///
/// Most say only what is to be read again: by the time they are read the value may be another. The
/// kernel tells of a change whoever makes it and by whatever call, netlink or ioctl, also when the
/// value stays the same.
public enum NICChange: Equatable, Sendable {
  /// Ring sizes, header split, its threshold. Linux 5.7.
  case rings
  /// Linux 5.7.
  case channels
  /// Offloads. Linux 5.7.
  case features
  /// The indirection table, key or hash of an RSS context; 0 is the main table. Linux 6.17.
  case scaling(context: UInt32)
  /// An RSS context came, or went. Linux 6.17.
  case contextCreated(UInt32)
  case contextDeleted(UInt32)
  /// Another setting of the ethtool family (coalescing, pause frames, private flags, …), by the
  /// number of its notification (ETHTOOL_MSG_*_NTF).
  case setting(notification: UInt8)
  /// What the driver offers to XDP. Linux 6.3.
  case xdpFeatures
  /// A page pool came, changed or went: so do the buffers of a queue when it is bound for
  /// zero-copy receive, let go or set up anew. Linux 6.8.
  case pagePools
  /// The link as it is now: set up or down, carrier lost or back, another name or MTU, an XDP
  /// program attached or detached by netlink while the interface is up. It comes along with a
  /// change of features, too.
  case link(Link)
  /// The interface is gone, or moved to another network namespace. Nothing comes after it.
  case removed
  /// Messages were lost because more came than the socket holds, or one could not be read:
  /// everything must be read again.
  case overrun
}

/// A message that came without being asked for: its netlink type, and what follows the netlink
/// header.
struct Notification: Equatable {
  let type: UInt16
  let payload: [UInt8]
}

/// Numbers of the notifications (include/uapi/linux/ethtool_netlink_generated.h, netdev.h and
/// rtnetlink.h).
private enum NotificationNumber {
  static let features: UInt8 = 13
  static let rings: UInt8 = 17
  static let channels: UInt8 = 19
  static let scaling: UInt8 = 50
  static let contextCreated: UInt8 = 52
  static let contextDeleted: UInt8 = 53
  static let interface: UInt16 = 1
  static let context: UInt16 = 2
  static let devices: ClosedRange<UInt8> = 2...4
  static let pagePools: ClosedRange<UInt8> = 6...8
  static let deviceInterface: UInt16 = 1
  static let poolInterface: UInt16 = 2
  static let newLink: UInt16 = 16
  static let deletedLink: UInt16 = 17
  static let genericHeader = 4
  static let linkHeader = 16
}

/// Reads notifications; those about other interfaces, and those of no interest, are nil.
extension NICChange {
  /// A message of the ethtool family.
  static func ethtool(
    _ payload: [UInt8], interface: UInt32
  ) throws(MalformedMessage) -> NICChange? {
    let (command, attributes) = try generic(payload)
    // Every message of the family starts with the nest that requests start with.
    let header = try attributes.nested(Ethtool.header)
    guard try header?.integer(NotificationNumber.interface) == interface else { return nil }
    func context() throws(MalformedMessage) -> UInt32 {
      try attributes.integer(NotificationNumber.context) ?? 0
    }
    return switch command {
    case NotificationNumber.rings: .rings
    case NotificationNumber.channels: .channels
    case NotificationNumber.features: .features
    case NotificationNumber.scaling: .scaling(context: try context())
    case NotificationNumber.contextCreated: .contextCreated(try context())
    case NotificationNumber.contextDeleted: .contextDeleted(try context())
    default: .setting(notification: command)
    }
  }

  /// A message of the netdev family.
  static func netdev(
    _ payload: [UInt8], interface: UInt32
  ) throws(MalformedMessage) -> NICChange? {
    let (command, attributes) = try generic(payload)
    switch command {
    case NotificationNumber.devices:
      let number: UInt32? = try attributes.integer(NotificationNumber.deviceInterface)
      return number == interface ? .xdpFeatures : nil
    case NotificationNumber.pagePools:
      let number: UInt32? = try attributes.integer(NotificationNumber.poolInterface)
      return number == interface ? .pagePools : nil
    default: return nil
    }
  }

  /// A message of rtnetlink.
  static func route(
    _ message: Notification, interface: UInt32
  ) throws(MalformedMessage) -> NICChange? {
    guard
      message.type == NotificationNumber.newLink || message.type == NotificationNumber.deletedLink
    else { return nil }
    let header = message.payload.prefix(NotificationNumber.linkHeader)
    guard header.count == NotificationNumber.linkHeader,
      let family = header.first, let number: UInt32 = header.number(at: 4)
    else { throw MalformedMessage("a link message of \(header.count) bytes") }
    // Bridges tell of their ports by messages of the same types but of their own address family:
    // a port that leaves its bridge is not gone.
    guard number == interface, family == 0 else { return nil }
    if message.type == NotificationNumber.deletedLink { return .removed }
    return .link(try Link(message: message.payload))
  }

  private static func generic(
    _ payload: [UInt8]
  ) throws(MalformedMessage) -> (command: UInt8, attributes: Attributes) {
    guard let command = payload.first, payload.count >= NotificationNumber.genericHeader else {
      throw MalformedMessage("a notification of \(payload.count) bytes")
    }
    return (command, try Attributes(payload[NotificationNumber.genericHeader...]))
  }
}
