// Numbers as they lie in the memory of every target of this project: little-endian.

func littleEndianBytes<Number: FixedWidthInteger>(of value: Number) -> [UInt8] {
  (0..<Number.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> Number($0 * 8)) }
}

extension ArraySlice<UInt8> {
  /// The number at an offset from the start of the slice; nil where the slice ends before it does.
  func number<Number: FixedWidthInteger & UnsignedInteger>(
    at offset: Int, as type: Number.Type = Number.self
  ) -> Number? {
    let size = Number.bitWidth / 8
    guard offset >= 0, offset <= count - size else { return nil }
    let start = startIndex + offset
    return self[start..<start + size].reversed().reduce(0) { $0 << 8 | Number($1) }
  }

  /// All of it as 32-bit words; nil where the length is not a multiple of theirs.
  var words: [UInt32]? {
    guard count % 4 == 0 else { return nil }
    return stride(from: 0, to: count, by: 4).compactMap { number(at: $0) }
  }
}
