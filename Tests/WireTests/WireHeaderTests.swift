import Testing

@testable import Wire

@Suite struct WireHeaderTests {
  let header = WireHeader(
    kind: .crc32c, flags: .pattern(salt: 0xab), length: 0x0102_0304,
    sequence: 0x1112_1314_1516_1718, digest: 0xe306_9283)

  func decode(_ bytes: [UInt8], at start: Int = 0) throws(WireHeader.Failure) -> WireHeader {
    unsafe try WireHeader(decoding: bytes.span.bytes, at: start)
  }

  /// The short way, which gives no reasons.
  func sound(_ bytes: [UInt8], at start: Int = 0) -> WireHeader? {
    unsafe WireHeader(sound: bytes.span.bytes, at: start)
  }

  func encoded(_ header: WireHeader) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: WireHeader.size)
    var span = bytes.mutableSpan
    var raw = unsafe span.mutableBytes
    header.encode(into: &raw)
    return bytes
  }

  /// The bytes as the format's table says, put down by hand.
  @Test func layout() {
    var expected: [UInt8] = Array("IGW1".utf8) + [1, 1, 0x01, 0xab, 4, 3, 2, 1]
    let rest: [UInt8] = [
      0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, 0x83, 0x92, 0x06, 0xe3, 0, 0, 0, 0,
    ]
    let crc = crc32c(expected + rest)
    expected += (0..<4).map { UInt8(truncatingIfNeeded: crc >> ($0 * 8)) }
    #expect(encoded(header) == expected + rest)
  }

  @Test func roundTripAtAnyAlignment() throws {
    for start in 0..<9 {
      let bytes = [UInt8](repeating: 0, count: start) + encoded(header)
      #expect(try decode(bytes, at: start) == header)
      #expect(sound(bytes, at: start) == header)
    }
  }

  @Test func everyKindIsRead() throws {
    for kind in ChecksumKind.allCases {
      let bytes = encoded(WireHeader(kind: kind, length: 7, sequence: 9, digest: 11))
      #expect(try decode(bytes).kind == kind)
      #expect(sound(bytes)?.kind == kind)
    }
  }

  /// The instruction and ISA-L are of one mind.
  @Test func bothWaysToTheChecksum() {
    var random = SystemRandomNumberGenerator()
    for _ in 0..<1000 {
      let words = WireHeader.Words(
        first: random.next(), second: random.next(), third: random.next(), fourth: random.next())
      #expect(WireHeader.checksum(of: words) == WireHeader.checksumInMemory(of: words))
    }
  }

  /// No flipped bit goes unnoticed, and each is blamed on what it hit.
  @Test func everyFlippedBit() {
    let good = encoded(header)
    for bit in 0..<WireHeader.size * 8 {
      var bytes = good
      bytes[bit / 8] ^= 1 << (bit % 8)
      #expect(sound(bytes) == nil)
      do {
        _ = try decode(bytes)
        Issue.record("flipped bit \(bit) was not noticed")
      } catch .magic {
        #expect(bit < 32)
      } catch .damaged(let computed, let stated) {
        #expect(bit >= 32)
        #expect(computed != stated)
      } catch {
        Issue.record("flipped bit \(bit): \(error)")
      }
    }
  }

  @Test func unknownVersionAndKind() {
    for (place, value) in [(4, UInt8(2)), (5, UInt8(3))] {
      var bytes = encoded(header)
      bytes[place] = value
      let crc = crc32c(bytes[16..<32], continuing: crc32c(bytes[..<12]))
      for index in 0..<4 { bytes[12 + index] = UInt8(truncatingIfNeeded: crc >> (index * 8)) }
      let expected: WireHeader.Failure = place == 4 ? .version(2) : .checksumKind(3)
      #expect(throws: expected) { _ = try decode(bytes) }
      #expect(sound(bytes) == nil)
    }
  }

  @Test func patternSeeds() {
    #expect(header.patternSeed == 0xab00_0000_0000_0000 ^ header.sequence)
    #expect(WireHeader(length: 1, sequence: 5).patternSeed == nil)
    #expect(WireHeader(flags: .pattern, length: 1, sequence: 5).patternSeed == 5)
  }
}
