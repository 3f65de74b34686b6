@testable import NICControl

/// Replies of the ethtool family, as a NIC that can do zero-copy receive gives them.
enum EthtoolMessages {
  static func attributes(_ fill: (inout AttributeWriter) -> Void) -> [UInt8] {
    var writer = AttributeWriter()
    writer.nest(1) {
      $0.add(1, UInt32(7))
      $0.add(2, text: "zc0")
    }
    fill(&writer)
    return writer.bytes
  }

  static let rings = attributes {
    $0.add(2, UInt32(8192))
    $0.add(5, UInt32(8192))
    $0.add(6, UInt32(1024))
    $0.add(9, UInt32(512))
    $0.add(10, UInt32(4096))
    $0.add(11, UInt8(1))
    $0.add(12, UInt32(64))
    $0.add(13, UInt8(0))
    $0.add(17, UInt32(256))
    $0.add(18, UInt32(1023))
  }

  static let channels = attributes {
    $0.add(4, UInt32(1))
    $0.add(5, UInt32(16))
    $0.add(8, UInt32(1))
    $0.add(9, UInt32(8))
  }

  static let features = attributes {
    $0.nest(2) { plainBits(&$0, ["rx-gro-hw", "rx-ntuple-filter", "rx-hashing"]) }
    $0.nest(3) { maskedBits(&$0, set: ["rx-hashing"], clear: ["rx-gro-hw"]) }
    $0.nest(4) { plainBits(&$0, ["rx-hashing", "highdma"]) }
    $0.nest(5) { plainBits(&$0, ["vlan-challenged"]) }
  }

  static let scaling = attributes {
    $0.add(2, UInt32(3))
    $0.add(3, UInt32(1))
    $0.add(4, bytes: [UInt32(0), 1, 0, 1].flatMap { littleEndianBytes(of: $0) })
    $0.add(5, bytes: Array(0..<40))
    $0.add(6, UInt32(0))
  }

  /// A bit set alone, with a bit that has no name.
  static let bits: [UInt8] = {
    var writer = AttributeWriter()
    maskedBits(&writer, set: ["rx-hashing", "highdma"], clear: ["rx-gro-hw"])
    writer.nest(3) { list in list.nest(1) { $0.add(1, UInt32(70)) } }
    return writer.bytes
  }()

  private static func plainBits(_ writer: inout AttributeWriter, _ names: [String]) {
    writer.add(1, bytes: [])
    writer.add(2, UInt32(64))
    writer.nest(3) { list in
      for (index, name) in names.enumerated() { bit(&list, index, name, isSet: false) }
    }
  }

  private static func maskedBits(
    _ writer: inout AttributeWriter, set: [String], clear: [String]
  ) {
    writer.add(2, UInt32(64))
    writer.nest(3) { list in
      for (index, name) in set.enumerated() { bit(&list, index, name, isSet: true) }
      for (index, name) in clear.enumerated() { bit(&list, index + 32, name, isSet: false) }
    }
  }

  private static func bit(
    _ list: inout AttributeWriter, _ index: Int, _ name: String, isSet: Bool
  ) {
    list.nest(1) {
      $0.add(1, UInt32(index))
      $0.add(2, text: name)
      if isSet { $0.add(3, bytes: []) }
    }
  }
}
