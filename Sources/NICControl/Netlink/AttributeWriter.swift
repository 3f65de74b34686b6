/// Builds the attributes of a request.
struct AttributeWriter {
  private(set) var bytes: [UInt8] = []
  /// Whether something was longer than the 16-bit length of an attribute can say; such a request
  /// is not sent.
  private(set) var isTooLarge = false

  /// Set in the number of an attribute that holds others.
  static let nestedFlag: UInt16 = 0x8000

  /// A number in as many bytes as its type has.
  mutating func add<Number: FixedWidthInteger & UnsignedInteger>(
    _ number: UInt16, _ value: Number
  ) {
    add(number, bytes: littleEndianBytes(of: value))
  }

  /// A text with its terminating zero.
  mutating func add(_ number: UInt16, text: String) { add(number, bytes: text.utf8 + [0]) }

  mutating func add(_ number: UInt16, bytes value: [UInt8]) {
    guard let length = UInt16(exactly: value.count + Attributes.headerSize) else {
      isTooLarge = true
      return
    }
    bytes += littleEndianBytes(of: length) + littleEndianBytes(of: number) + value
    bytes += [UInt8](repeating: 0, count: Attributes.aligned(value.count) - value.count)
  }

  mutating func nest(_ number: UInt16, _ fill: (inout AttributeWriter) -> Void) {
    var inner = AttributeWriter()
    fill(&inner)
    isTooLarge = isTooLarge || inner.isTooLarge
    add(number | AttributeWriter.nestedFlag, bytes: inner.bytes)
  }
}
