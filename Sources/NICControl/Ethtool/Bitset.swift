/// A set of named bits as the ethtool family sends it when not asked for the compact form.
///
/// A plain set lists the bits that are set. One with a mask lists the bits that the mask names and
/// marks those that are set (Documentation/networking/ethtool-netlink.rst, "Bit sets").
struct Bitset: Equatable {
  /// Names of the bits that are set.
  var set: Set<String> = []
  /// Names of the bits that the set speaks about; nil for a plain set.
  var mask: Set<String>?

  private static let noMask: UInt16 = 1
  private static let bits: UInt16 = 3
  private static let bit: UInt16 = 1
  private static let bitIndex: UInt16 = 1
  private static let bitName: UInt16 = 2
  private static let bitValue: UInt16 = 3

  init(_ attributes: Attributes) throws(MalformedMessage) {
    guard let list = try attributes.nested(Bitset.bits) else {
      throw MalformedMessage("a bit set without its bits")
    }
    let isPlain = attributes.has(Bitset.noMask)
    var names: Set<String> = []
    for entry in list.all(Bitset.bit) {
      let bit = try entry.nested()
      // Bits newer than the kernel's table of names have none.
      let number: UInt32? = try bit.integer(Bitset.bitIndex)
      guard let name = bit.text(Bitset.bitName) ?? number.map({ "bit-\($0)" }) else { continue }
      names.insert(name)
      if isPlain || bit.has(Bitset.bitValue) { set.insert(name) }
    }
    mask = isPlain ? nil : names
  }
}

extension Bitset {
  /// A set with a mask that speaks about one bit.
  static func write(_ name: String, _ isSet: Bool, _ writer: inout AttributeWriter) {
    writer.nest(bits) { list in
      list.nest(bit) { bit in
        bit.add(bitName, text: name)
        if isSet { bit.add(bitValue, bytes: []) }
      }
    }
  }
}
