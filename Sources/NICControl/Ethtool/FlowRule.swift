/// An n-tuple rule: packets that match it go to one queue, or to the queues of an RSS context
/// (`ethtool -n`).
public struct FlowRule: Equatable, Sendable {
  /// Where it stands in the NIC's table; it is deleted by this number.
  public var location: UInt32
  /// The kind of packet; nil for a kind that is not known here, whose matches are empty.
  public var flow: Flow?
  /// What a packet must have. Fields that do not matter are not listed.
  public var matches: [Match]
  public var action: Action
  /// The RSS context that picks the queue; `action` then counts from its queues.
  public var context: UInt32?

  /// The numbers are the kernel's (TCP_V4_FLOW and so on in include/uapi/linux/ethtool.h).
  public enum Flow: UInt32, Sendable, CaseIterable {
    case tcp4 = 1
    case udp4 = 2
    case sctp4 = 3
    case tcp6 = 5
    case udp6 = 6
    case sctp6 = 7
    case ah4 = 9
    case esp4 = 10
    case ah6 = 11
    case esp6 = 12
    case ip4 = 13
    case ip6 = 14
    case ether = 18
  }

  public enum Action: Equatable, Sendable {
    /// - Parameter virtualFunction: 0 for the device itself, else 1 and up.
    case queue(UInt32, virtualFunction: UInt8)
    case drop
    case wakeUp
  }

  /// One field, in network byte order. Bits set in the mask are compared.
  public struct Match: Equatable, Sendable {
    public var field: Field
    public var value: [UInt8]
    public var mask: [UInt8]

    /// The value as a number, for ports, protocols and the like.
    public var number: UInt64 { value.suffix(8).reduce(0) { $0 << 8 | UInt64($1) } }
  }

  /// The fields by ethtool's names for them.
  public enum Field: String, Sendable, CaseIterable {
    case sourceAddress = "src-ip"
    case destinationAddress = "dst-ip"
    case sourcePort = "src-port"
    case destinationPort = "dst-port"
    case trafficClass = "tos"
    case securityParameters = "spi"
    case layer4Bytes = "l4data"
    case layer4Protocol = "l4proto"
    case destinationMAC = "dst"
    case sourceMAC = "src"
    case etherType = "proto"
    case routerMAC = "dst-mac"
    case vlanEtherType = "vlan-etype"
    case vlanTag = "vlan"
    case userData = "user-def"
  }
}

/// The n-tuple rules of a NIC.
public struct FlowRules: Equatable, Sendable {
  public var rules: [FlowRule]
  /// Locations of the table, where the driver tells.
  public var capacity: UInt32?
  /// The driver picks a location by itself (RX_CLS_LOC_SPECIAL); otherwise a rule needs a free one.
  public var picksLocations: Bool
}

extension FlowRule {
  /// Reads a struct ethtool_rx_flow_spec; nil when there are not as many bytes as it has.
  init?(specification bytes: ArraySlice<UInt8>, context: UInt32) {
    guard bytes.count >= FlowLayout.size,
      let type: UInt32 = bytes.number(at: 0),
      let cookie: UInt64 = bytes.number(at: FlowLayout.cookie),
      let location: UInt32 = bytes.number(at: FlowLayout.location)
    else { return nil }
    self.location = location
    flow = Flow(rawValue: type & ~FlowLayout.flags)
    action =
      switch cookie {
      case .max: .drop
      case .max - 1: .wakeUp
      default:
        .queue(
          UInt32(truncatingIfNeeded: cookie),
          virtualFunction: UInt8(truncatingIfNeeded: cookie >> 32))
      }
    self.context = type & FlowLayout.flagContext != 0 ? context : nil
    var slots = flow?.slots ?? []
    if type & FlowLayout.flagMAC != 0 { slots += FlowLayout.slotsOfMAC }
    if type & FlowLayout.flagExtended != 0 { slots += FlowLayout.slotsOfExtension }
    matches = slots.compactMap { slot in
      let value = bytes.dropFirst(FlowLayout.values + slot.offset).prefix(slot.size)
      let mask = bytes.dropFirst(FlowLayout.masks + slot.offset).prefix(slot.size)
      guard mask.contains(where: { $0 != 0 }) else { return nil }
      return Match(field: slot.field, value: Array(value), mask: Array(mask))
    }
  }
}

extension FlowRule {
  /// Has the driver choose where a rule stands (RX_CLS_LOC_ANY).
  public static let anyLocation: UInt32 = .max

  /// As a struct ethtool_rx_flow_spec; nil where a match has no place in it, or not that length.
  var specification: [UInt8]? {
    guard let flow else { return nil }
    var bytes = [UInt8](repeating: 0, count: FlowLayout.size)
    var type = flow.rawValue | (context == nil ? 0 : FlowLayout.flagContext)
    for match in matches {
      let extended = FlowLayout.slotsOfExtension.first { $0.field == match.field }
      let routed = FlowLayout.slotsOfMAC.first { $0.field == match.field }
      guard let slot = flow.slots.first(where: { $0.field == match.field }) ?? extended ?? routed,
        match.value.count == slot.size, match.mask.count == slot.size
      else { return nil }
      if extended != nil { type |= FlowLayout.flagExtended }
      if routed != nil { type |= FlowLayout.flagMAC }
      for (start, part) in [
        (FlowLayout.values, match.value), (FlowLayout.masks, match.mask),
      ] {
        bytes.replaceSubrange(start + slot.offset..<start + slot.offset + slot.size, with: part)
      }
    }
    let cookie: UInt64 =
      switch action {
      case .drop: .max
      case .wakeUp: .max - 1
      case .queue(let queue, let function): UInt64(queue) | UInt64(function) << 32
      }
    bytes.replaceSubrange(0..<4, with: littleEndianBytes(of: type))
    bytes.replaceSubrange(
      FlowLayout.cookie..<FlowLayout.cookie + 8, with: littleEndianBytes(of: cookie))
    bytes.replaceSubrange(
      FlowLayout.location..<FlowLayout.location + 4, with: littleEndianBytes(of: location))
    return bytes
  }
}

/// struct ethtool_rx_flow_spec: the type, 72 bytes of values, as many of masks, the ring cookie,
/// the location. Offsets of fields are from the start of the values or masks.
enum FlowLayout {
  static let size = 168
  static let values = 4
  static let masks = 76
  static let cookie = 152
  static let location = 160
  static let flagExtended: UInt32 = 0x8000_0000
  static let flagMAC: UInt32 = 0x4000_0000
  static let flagContext: UInt32 = 0x2000_0000
  static let flags = flagExtended | flagMAC | flagContext

  struct Slot {
    let field: FlowRule.Field
    let offset: Int
    let size: Int

    init(_ field: FlowRule.Field, _ offset: Int, _ size: Int) {
      self.field = field
      self.offset = offset
      self.size = size
    }
  }

  /// struct ethtool_flow_ext follows the 52 bytes of the union.
  static let slotsOfMAC = [Slot(.routerMAC, 54, 6)]
  static let slotsOfExtension = [
    Slot(.vlanEtherType, 60, 2), Slot(.vlanTag, 62, 2), Slot(.userData, 64, 8),
  ]
}

extension FlowRule.Flow {
  /// The members of the union for this kind of packet.
  var slots: [FlowLayout.Slot] {
    typealias Slot = FlowLayout.Slot
    let ip4 = [Slot(.sourceAddress, 0, 4), Slot(.destinationAddress, 4, 4)]
    let ip6 = [Slot(.sourceAddress, 0, 16), Slot(.destinationAddress, 16, 16)]
    switch self {
    case .tcp4, .udp4, .sctp4:
      return ip4 + [
        Slot(.sourcePort, 8, 2), Slot(.destinationPort, 10, 2), Slot(.trafficClass, 12, 1),
      ]
    case .ah4, .esp4: return ip4 + [Slot(.securityParameters, 8, 4), Slot(.trafficClass, 12, 1)]
    case .ip4:
      return ip4 + [
        Slot(.layer4Bytes, 8, 4), Slot(.trafficClass, 12, 1), Slot(.layer4Protocol, 14, 1),
      ]
    case .tcp6, .udp6, .sctp6:
      return ip6 + [
        Slot(.sourcePort, 32, 2), Slot(.destinationPort, 34, 2), Slot(.trafficClass, 36, 1),
      ]
    case .ah6, .esp6: return ip6 + [Slot(.securityParameters, 32, 4), Slot(.trafficClass, 36, 1)]
    case .ip6:
      return ip6 + [
        Slot(.layer4Bytes, 32, 4), Slot(.trafficClass, 36, 1), Slot(.layer4Protocol, 37, 1),
      ]
    case .ether:
      return [Slot(.destinationMAC, 0, 6), Slot(.sourceMAC, 6, 6), Slot(.etherType, 12, 2)]
    }
  }
}
