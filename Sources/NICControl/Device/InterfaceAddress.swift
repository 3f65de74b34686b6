/// An address of an interface as rtnetlink shows it.
public struct InterfaceAddress: Equatable, Sendable {
  /// 4 bytes or 16, in network order.
  public let bytes: [UInt8]
  public let scope: UInt8
  public let flags: UInt32

  public var isIPv6: Bool { bytes.count == 16 }

  /// Good on every link, so that it names one host; of lo the ones that it has.
  public func isListenable(onLoopback: Bool) -> Bool {
    if isIPv6 && flags & (AddressNumber.temporary | AddressNumber.failed) != 0 { return false }
    if flags & AddressNumber.deprecated != 0 { return false }
    return scope == AddressNumber.universe || scope == AddressNumber.site
      || onLoopback && scope == AddressNumber.host
  }

  /// The kernel is still finding out whether another host has it (RFC 4862, 5.4): it cannot be
  /// bound to yet.
  public var isTentative: Bool {
    flags & AddressNumber.tentative != 0 && flags & AddressNumber.optimistic == 0
  }
}

/// Numbers of include/uapi/linux/rtnetlink.h and if_addr.h.
private enum AddressNumber {
  static let getAddress: UInt16 = 22
  static let headerSize = 8
  static let address: UInt16 = 1
  static let local: UInt16 = 2
  static let flags: UInt16 = 8
  static let universe: UInt8 = 0
  static let site: UInt8 = 200
  static let host: UInt8 = 254
  /// Of an IPv4 address the same bit says that it is not the first of its network.
  static let temporary: UInt32 = 0x01
  static let optimistic: UInt32 = 0x04
  static let failed: UInt32 = 0x08
  static let deprecated: UInt32 = 0x20
  static let tentative: UInt32 = 0x40
}

extension InterfaceAddress {
  /// Reads the payload of an RTM_NEWADDR message: struct ifaddrmsg and attributes. Nil for another
  /// interface's.
  init?(message: [UInt8], interface: UInt32) throws(MalformedMessage) {
    guard message.count >= AddressNumber.headerSize,
      let index: UInt32 = message[...].number(at: 4)
    else { throw MalformedMessage("an address message of \(message.count) bytes") }
    guard index == interface else { return nil }
    let attributes = try Attributes(message[AddressNumber.headerSize...])
    func value(_ number: UInt16) -> [UInt8]? {
      attributes.list.first { $0.number == number }.map { Array($0.value) }
    }
    // The other end of a point-to-point link is "address", its own is "local".
    guard let bytes = value(AddressNumber.local) ?? value(AddressNumber.address),
      bytes.count == 4 || bytes.count == 16
    else { return nil }
    self.bytes = bytes
    scope = message[3]
    flags = try attributes.integer(AddressNumber.flags) ?? UInt32(message[2])
  }
}

extension NICAccess {
  /// The addresses of an interface, IPv4 first.
  public func addresses(of link: Link) throws(NetlinkError) -> [InterfaceAddress] {
    let what = "list the addresses of \(link.name)"
    let header = [UInt8](repeating: 0, count: AddressNumber.headerSize)
    let messages = try route.exchange(
      what, type: AddressNumber.getAddress, answer: .dump, payload: header)
    do throws(MalformedMessage) {
      var found: [InterfaceAddress] = []
      for message in messages {
        if let one = try InterfaceAddress(message: message, interface: link.index) {
          found.append(one)
        }
      }
      return found.filter { !$0.isIPv6 } + found.filter { $0.isIPv6 }
    } catch {
      throw NetlinkError(what, malformed: error)
    }
  }
}
