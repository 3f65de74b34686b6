import Testing

@testable import Wire

// A span over an array's elements is marked unsafe for the sake of types with padding; bytes have
// none.

func crc32c(_ bytes: some Collection<UInt8>, continuing crc: UInt32 = 0) -> UInt32 {
  let bytes = Array(bytes)
  return unsafe Digest.crc32c(bytes.span.bytes, continuing: crc)
}

func xxh3(_ text: String) -> UInt64 {
  let bytes = Array(text.utf8)
  return unsafe Digest.xxh3(bytes.span.bytes)
}

@Suite struct DigestTests {
  /// The check value of CRC-32C and the vectors of RFC 3720, B.4.
  @Test func crc32cVectors() {
    #expect(crc32c("123456789".utf8) == 0xe306_9283)
    #expect(crc32c([UInt8](repeating: 0, count: 32)) == 0x8a91_36aa)
    #expect(crc32c([UInt8](repeating: 0xff, count: 32)) == 0x62a8_ab43)
    #expect(crc32c(Array(UInt8(0)..<32)) == 0x46dd_794e)
    #expect(crc32c([UInt8]()) == 0)
  }

  /// What is longer than one call takes, as if that were a few bytes.
  @Test(arguments: [1, 64, 100, 999, 1000, 4096])
  func severalCallsGiveTheSameAsOne(_ longest: Int) {
    var bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0 * 7) }
    let whole = crc32c(bytes, continuing: 5)
    let parts = unsafe bytes.withUnsafeMutableBufferPointer {
      unsafe Digest.crc32c($0.baseAddress!, $0.count, 5, call: longest)
    }
    #expect(parts == whole)
  }

  @Test func xxh3Vectors() {
    #expect(xxh3("") == 0x2d06_8005_38d3_94c2)
    #expect(xxh3("a") == 0xe6c6_32b6_1e96_4e1f)
    #expect(xxh3("abc") == 0x78af_5f94_892f_3950)
  }

  @Test(arguments: ChecksumKind.allCases)
  func piecesGiveTheSameAsTheWhole(_ kind: ChecksumKind) {
    var random = SeededRandom(seed: 7)
    let bytes = (0..<5000).map { _ in UInt8.random(in: 0...255, using: &random) }
    var digests = StreamDigests(kind: kind, slotCount: 3)
    let whole = unsafe Digest.of(bytes.span.bytes, kind)
    for _ in 0..<50 {
      digests.reset(1)
      var start = 0
      while start < bytes.count {
        let end = min(bytes.count, start + random.logUniform(in: 1...2000))
        unsafe digests.add(bytes.span.bytes.extracting(start..<end), to: 1)
        start = end
      }
      let value = digests.value(1)
      #expect(value == whole)
    }
    let (untouched, empty) = unsafe (digests.value(0), Digest.of([UInt8]().span.bytes, kind))
    #expect(untouched == empty, "slots are separate")
  }

  @Test func crc32cContinues() {
    let bytes = Array(UInt8(0)..<200)
    for cut in 0...bytes.count {
      #expect(crc32c(bytes[cut...], continuing: crc32c(bytes[..<cut])) == crc32c(bytes))
    }
  }
}
