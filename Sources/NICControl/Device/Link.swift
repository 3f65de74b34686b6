import Glibc

/// A network interface as rtnetlink shows it.
public struct Link: Equatable, Sendable {
  public let index: UInt32
  public let name: String
  /// Set up by the administrator (IFF_UP).
  public let isUp: Bool
  /// The other end of the wire is there (IFF_LOWER_UP).
  public let hasCarrier: Bool
  /// How often the carrier was lost since the interface exists; nil before Linux 4.16.
  /// Notifications of a link that flaps are merged (net/core/link_watch.c), this count is not.
  public let carrierLosses: UInt32?
  public let isLoopback: Bool
  /// In bytes.
  public let mtu: UInt32
  /// What made a virtual interface ("veth", "netkit", "bridge", …); nil for a NIC and for lo.
  public let kind: String?
  public let xdp: XDPProgram?
  /// The device it belongs to, as under /sys/bus/BUS/devices; nil for what has no hardware, and
  /// before Linux 5.14.
  public let parent: ParentDevice?

  /// The attached XDP program.
  public struct XDPProgram: Equatable, Sendable {
    public let mode: Mode
    /// The kernel's number of the program (`bpftool prog show id N`); nil where several are
    /// attached.
    public let identifier: UInt32?

    /// The numbers are the kernel's (XDP_ATTACHED_* in include/uapi/linux/if_link.h).
    public enum Mode: UInt8, Sendable {
      case driver = 1
      case generic = 2
      case offloaded = 3
      case several = 4
    }
  }

  public struct ParentDevice: Equatable, Sendable {
    /// "pci", "virtio", "platform", …
    public let bus: String
    /// "0000:3b:00.0"
    public let name: String
  }
}

/// Numbers of include/uapi/linux/rtnetlink.h, if.h and if_link.h.
private enum RouteNumber {
  static let getLink: UInt16 = 18
  static let headerSize = 16
  static let flagUp: UInt32 = 1
  static let flagLoopback: UInt32 = 1 << 3
  static let flagLowerUp: UInt32 = 1 << 16
  static let name: UInt16 = 3
  static let mtu: UInt16 = 4
  static let linkInfo: UInt16 = 18
  static let linkInfoKind: UInt16 = 1
  static let extendedMask: UInt16 = 29
  static let skipStatistics: UInt32 = 1 << 3
  static let xdp: UInt16 = 43
  static let carrierDownCount: UInt16 = 48
  static let xdpAttached: UInt16 = 2
  static let xdpIdentifier: UInt16 = 4
  static let alternativeName: UInt16 = 53
  static let parentName: UInt16 = 56
  static let parentBus: UInt16 = 57
}

extension Link {
  /// Reads the payload of an RTM_NEWLINK message: struct ifinfomsg and attributes.
  init(message: [UInt8]) throws(MalformedMessage) {
    guard message.count >= RouteNumber.headerSize else {
      throw MalformedMessage("a link message of \(message.count) bytes")
    }
    let words = try Attribute(number: 0, value: message[..<RouteNumber.headerSize]).words()
    let attributes = try Attributes(message[RouteNumber.headerSize...])
    index = words[1]
    isUp = words[2] & RouteNumber.flagUp != 0
    hasCarrier = words[2] & RouteNumber.flagLowerUp != 0
    carrierLosses = try attributes.integer(RouteNumber.carrierDownCount)
    isLoopback = words[2] & RouteNumber.flagLoopback != 0
    guard let name = attributes.text(RouteNumber.name) else {
      throw MalformedMessage("a link without a name")
    }
    self.name = name
    mtu = try attributes.required(RouteNumber.mtu)
    kind = try attributes.nested(RouteNumber.linkInfo)?.text(RouteNumber.linkInfoKind)
    if let xdp = try attributes.nested(RouteNumber.xdp),
      let mode = XDPProgram.Mode(rawValue: try xdp.integer(RouteNumber.xdpAttached) ?? 0)
    {
      self.xdp = XDPProgram(mode: mode, identifier: try xdp.integer(RouteNumber.xdpIdentifier))
    } else {
      xdp = nil
    }
    if let bus = attributes.text(RouteNumber.parentBus),
      let device = attributes.text(RouteNumber.parentName)
    {
      parent = ParentDevice(bus: bus, name: device)
    } else {
      parent = nil
    }
  }
}

extension NICAccess {
  /// Finds an interface by its name or an alternative name. The error is ENODEV where this network
  /// namespace has none of that name.
  public func link(named name: String) throws(NetlinkError) -> Link {
    let what = "find interface \(name)"
    // Longer names than IFNAMSIZ - 1 can only be alternative ones.
    let attribute = name.utf8.count < 16 ? RouteNumber.name : RouteNumber.alternativeName
    guard !name.isEmpty, name.utf8.count < 128, !name.utf8.contains(0) else {
      throw NetlinkError(what, errno: ENODEV, message: "an interface cannot have this name")
    }
    return try link(what, index: 0) { $0.add(attribute, text: name) }
  }

  public func link(index: UInt32) throws(NetlinkError) -> Link {
    let what = "find interface number \(index)"
    guard index > 0, index <= UInt32(Int32.max) else { throw NetlinkError(what, errno: ENODEV) }
    return try link(what, index: index) { _ in }
  }

  /// All interfaces of this network namespace.
  public func links() throws(NetlinkError) -> [Link] {
    try linkMessages("list the interfaces", answer: .dump, index: 0) { _ in }
  }

  private func link(
    _ what: String, index: UInt32, _ fill: (inout AttributeWriter) -> Void
  ) throws(NetlinkError) -> Link {
    guard let link = try linkMessages(what, answer: .acknowledged, index: index, fill).first else {
      throw NetlinkError(what, malformed: MalformedMessage("the kernel sent no reply"))
    }
    return link
  }

  private func linkMessages(
    _ what: String, answer: NetlinkSocket.Answer, index: UInt32,
    _ fill: (inout AttributeWriter) -> Void
  ) throws(NetlinkError) -> [Link] {
    var writer = AttributeWriter()
    writer.add(RouteNumber.extendedMask, RouteNumber.skipStatistics)
    fill(&writer)
    var header = [UInt8](repeating: 0, count: RouteNumber.headerSize)
    header.replaceSubrange(4..<8, with: littleEndianBytes(of: index))
    let messages = try route.exchange(
      what, type: RouteNumber.getLink, answer: answer, header: header, attributes: writer)
    do throws(MalformedMessage) {
      var links: [Link] = []
      for message in messages { links.append(try Link(message: message)) }
      return links
    } catch {
      throw NetlinkError(what, malformed: error)
    }
  }
}
