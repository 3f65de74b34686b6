/// One netlink attribute: a number and the bytes it carries.
struct Attribute: Equatable {
  let number: UInt16
  let value: ArraySlice<UInt8>

  /// The value as an unsigned number of 1, 2, 4 or 8 bytes, in host order. The kernel's `uint`
  /// attributes choose between the last two by the value itself, so the length decides.
  func unsigned() throws(MalformedMessage) -> UInt64 {
    let found: UInt64? =
      switch value.count {
      case 1: value.number(at: 0, as: UInt8.self).map(UInt64.init)
      case 2: value.number(at: 0, as: UInt16.self).map(UInt64.init)
      case 4: value.number(at: 0, as: UInt32.self).map(UInt64.init)
      case 8: value.number(at: 0)
      default: nil
      }
    guard let found else {
      throw MalformedMessage("attribute \(number): a number of \(value.count) bytes")
    }
    return found
  }

  /// The value as text, up to its terminating zero.
  func text() -> String { String(decoding: value.prefix { $0 != 0 }, as: UTF8.self) }

  func nested() throws(MalformedMessage) -> Attributes { try Attributes(value) }

  /// The value as 32-bit words in host order.
  func words() throws(MalformedMessage) -> [UInt32] {
    guard let words = value.words else {
      throw MalformedMessage("attribute \(number): \(value.count) bytes are no 32-bit words")
    }
    return words
  }
}

/// The attributes of a message or of a nest, in the order in which they stand there.
///
/// Lengths come from the message and are checked against it: bytes that are not attributes throw.
/// An attribute that is not there is nil, because kernels of different age send different ones.
struct Attributes: Equatable {
  let list: [Attribute]

  /// The length and number before each value, and what values are padded to.
  static let headerSize = 4
  static let alignment = 4
  /// The two highest bits of a number are flags: nested, and network byte order.
  private static let numberMask: UInt16 = 0x3fff

  init(_ bytes: ArraySlice<UInt8>) throws(MalformedMessage) {
    var list: [Attribute] = []
    var at = bytes.startIndex
    // Up to three bytes of padding may follow the last attribute.
    while bytes.endIndex - at >= Attributes.headerSize {
      let left = bytes[at...]
      guard let size = left.number(at: 0, as: UInt16.self),
        let number = left.number(at: 2, as: UInt16.self)
      else { break }
      let length = Int(size)
      guard length >= Attributes.headerSize, length <= bytes.endIndex - at else {
        throw MalformedMessage(
          "attribute \(number & Attributes.numberMask) says it has \(length) bytes, "
            + "\(bytes.endIndex - at) are left")
      }
      list.append(
        Attribute(
          number: number & Attributes.numberMask,
          value: bytes[at + Attributes.headerSize..<at + length]))
      at = min(at + Attributes.aligned(length), bytes.endIndex)
    }
    self.list = list
  }

  static func aligned(_ length: Int) -> Int { (length + alignment - 1) & ~(alignment - 1) }

  subscript(number: UInt16) -> Attribute? { list.first { $0.number == number } }

  func all(_ number: UInt16) -> [Attribute] { list.filter { $0.number == number } }

  func has(_ number: UInt16) -> Bool { self[number] != nil }

  /// A number that must fit the type asked for; nil where it is missing.
  func integer<Number: FixedWidthInteger>(
    _ number: UInt16, as type: Number.Type = Number.self
  ) throws(MalformedMessage) -> Number? {
    guard let attribute = self[number] else { return nil }
    let value = try attribute.unsigned()
    guard let fitting = Number(exactly: value) else {
      throw MalformedMessage("attribute \(number): \(value) is too large")
    }
    return fitting
  }

  /// As ``integer(_:as:)``, of an attribute that every kernel sends.
  func required<Number: FixedWidthInteger>(
    _ number: UInt16, as type: Number.Type = Number.self
  ) throws(MalformedMessage) -> Number {
    guard let value = try integer(number, as: type) else {
      throw MalformedMessage("attribute \(number) is missing")
    }
    return value
  }

  func text(_ number: UInt16) -> String? { self[number]?.text() }

  func nested(_ number: UInt16) throws(MalformedMessage) -> Attributes? {
    try self[number]?.nested()
  }
}

/// What a reply of a generic netlink family says.
protocol AttributeDecodable {
  init(_ attributes: Attributes) throws(MalformedMessage)
}
