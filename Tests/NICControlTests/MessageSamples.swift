@testable import NICControl

// Messages of the kernel beside those of the two generic families: what decoders are tried on.

/// Payloads of rtnetlink.
enum LinkMessages {
  /// An RTM_NEWLINK payload of interface 7 that is up, with the attributes given.
  static func message(
    flags: UInt32 = 1, mtu: UInt32 = 9000, _ fill: (inout AttributeWriter) -> Void
  ) -> [UInt8] {
    var writer = AttributeWriter()
    writer.add(3, text: "zc0")
    writer.add(4, mtu)
    fill(&writer)
    return [0, 0, 1, 0] + littleEndianBytes(of: UInt32(7)) + littleEndianBytes(of: flags)
      + [0, 0, 0, 0] + writer.bytes
  }

  /// A NIC, and a virtual interface.
  static let samples = [
    message(flags: 1 | 1 << 16) {
      $0.nest(43) {
        $0.add(2, UInt8(1))
        $0.add(4, UInt32(55))
      }
      $0.add(56, text: "0000:3b:00.0")
      $0.add(57, text: "pci")
    },
    message(flags: 0) {
      $0.nest(18) { $0.add(1, text: "netkit") }
      $0.nest(43) { $0.add(2, UInt8(0)) }
    },
  ]
}

/// Structures of the ethtool ioctl.
enum EthtoolStructures {
  /// A struct ethtool_rx_flow_spec with values and masks at offsets of the kernel's header.
  static func specification(
    type: UInt32, cookie: UInt64, location: UInt32 = 5,
    fields: [(offset: Int, value: [UInt8], mask: [UInt8])]
  ) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 168)
    bytes.replaceSubrange(0..<4, with: littleEndianBytes(of: type))
    for field in fields {
      let size = field.value.count
      bytes.replaceSubrange(4 + field.offset..<4 + field.offset + size, with: field.value)
      bytes.replaceSubrange(76 + field.offset..<76 + field.offset + size, with: field.mask)
    }
    bytes.replaceSubrange(152..<160, with: littleEndianBytes(of: cookie))
    bytes.replaceSubrange(160..<164, with: littleEndianBytes(of: location))
    return bytes
  }

  /// A rule with matches of several sizes.
  static let rule = specification(
    type: 5 | 0xe000_0000, cookie: 3,
    fields: [
      (0, [UInt8](0..<16), [UInt8](repeating: 0xff, count: 16)), (34, [0, 80], [0xff, 0xff]),
      (54, [2, 0, 0, 0, 0, 1], [UInt8](repeating: 0xff, count: 6)), (62, [0, 7], [0x0f, 0xff]),
    ])

  /// The answer about the number of rules, then that with their locations.
  static let ruleList =
    answer(data: 0x8000_0000, count: 3)
    + answer(data: 1024, count: 3, locations: [1, 2, 700])

  /// A struct ethtool_rxnfc.
  static func answer(data: UInt64, count: UInt32, locations: [UInt32] = []) -> [UInt8] {
    [0x2e, 0, 0, 0, 0, 0, 0, 0] + littleEndianBytes(of: data)
      + [UInt8](repeating: 0, count: 168) + littleEndianBytes(of: count)
      + locations.flatMap { littleEndianBytes(of: $0) }
      + [UInt8](repeating: 0, count: locations.isEmpty ? 4 : 0)
  }

  static let information: [UInt8] = {
    var bytes = [UInt8](repeating: 0, count: 196)
    for (offset, text) in [(4, "bnxt_en"), (36, "7.2.0"), (68, "229.0"), (100, "0000:3b:00.0")] {
      bytes.replaceSubrange(offset..<offset + text.utf8.count, with: text.utf8)
    }
    return bytes
  }()

  /// How long the names are, how many there should be, then both answers.
  static let statistics = [76, 0, 2, 0, 0, 0] + names(2) + values(2)

  static func names(_ count: UInt32) -> [UInt8] {
    [0, 0, 0, 0, 0, 0, 0, 0] + littleEndianBytes(of: count)
      + ["a", "rx_drops"].flatMap { Array($0.utf8) + [UInt8](repeating: 0, count: 32 - $0.count) }
  }

  static func values(_ count: UInt32) -> [UInt8] {
    [0, 0, 0, 0] + littleEndianBytes(of: count) + littleEndianBytes(of: UInt64(1))
      + littleEndianBytes(of: UInt64.max)
  }
}

/// Notifications about interface 7.
enum NotificationMessages {
  /// A notification of the ethtool family about interface 7.
  static func ethtool(
    _ command: UInt8, _ fill: (inout AttributeWriter) -> Void = { _ in }
  ) -> [UInt8] {
    [command, 1, 0, 0] + EthtoolMessages.attributes(fill)
  }

  static func netdev(_ command: UInt8, _ fill: (inout AttributeWriter) -> Void) -> [UInt8] {
    [command, 1, 0, 0] + NetdevMessages.attributes(fill)
  }
}
