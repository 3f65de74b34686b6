import Testing
import Wire

@Suite struct PatternTests {
  func pattern(_ count: Int, seed: UInt64, position: UInt64 = 0) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var span = bytes.mutableSpan
    var raw = unsafe span.mutableBytes
    Pattern.fill(&raw, seed: seed, position: position)
    return bytes
  }

  func firstDifference(_ bytes: [UInt8], seed: UInt64, position: UInt64) -> Int? {
    unsafe Pattern.firstDifference(bytes.span.bytes, seed: seed, position: position)
  }

  /// The formula of the documentation, byte by byte.
  @Test func formula() {
    let seed: UInt64 = 42
    let bytes = pattern(200, seed: seed)
    for (index, byte) in bytes.enumerated() {
      var word =
        SeededRandom.splitmix64(seed) &+ (UInt64(index / 8) &+ 1) &* 0x9e37_79b9_7f4a_7c15
      word ^= word >> 32
      word ^= word << 29
      #expect(byte == UInt8(truncatingIfNeeded: word >> UInt64(index % 8 * 8)))
      #expect(word == Pattern.word(UInt64(index / 8), seed: seed))
    }
  }

  @Test func anyPositionGivesTheSameBytes() {
    let whole = pattern(400, seed: 9)
    for start in 0..<80 {
      for count in [0, 1, 7, 8, 9, 63, 64, 65, 129, 300] {
        #expect(
          pattern(count, seed: 9, position: UInt64(start)) == Array(whole[start..<start + count]))
      }
    }
  }

  @Test func findsTheFirstDifference() {
    let good = pattern(333, seed: 1, position: 5)
    #expect(firstDifference(good, seed: 1, position: 5) == nil)
    for index in good.indices {
      var bytes = good
      bytes[index] ^= 0x10
      bytes[332] ^= 0xff
      #expect(firstDifference(bytes, seed: 1, position: 5) == index)
    }
    #expect(firstDifference(good, seed: 2, position: 5) != nil)
  }

  @Test func seedsDiffer() {
    let all = Set((0..<1000).map { pattern(16, seed: UInt64($0)) })
    #expect(all.count == 1000)
  }
}

@Suite struct SeededRandomTests {
  /// splitmix64's published first outputs for the state 1234567.
  @Test func splitmixVectors() {
    #expect(SeededRandom.splitmix64(1_234_567) == 6_457_827_717_110_365_317)
    #expect(
      SeededRandom.splitmix64(1_234_567 &+ 0x9e37_79b9_7f4a_7c15) == 3_203_168_211_198_807_973)
  }

  @Test func sameSeedSameNumbers() {
    var one = SeededRandom(seed: 3)
    var two = SeededRandom(seed: 3)
    var other = SeededRandom(seed: 4)
    let numbers = (0..<100).map { _ in one.next() }
    #expect(numbers == (0..<100).map { _ in two.next() })
    #expect(numbers != (0..<100).map { _ in other.next() })
  }

  @Test func logUniformDoublingsAreEquallyLikely() {
    var random = SeededRandom(seed: 11)
    var perDoubling = [Int](repeating: 0, count: 17)
    for _ in 0..<64_000 {
      let size = random.logUniform(in: 1...65_535)
      #expect(size >= 1 && size <= 65_535)
      perDoubling[Int.bitWidth - 1 - size.leadingZeroBitCount] += 1
    }
    // 4000 each, give or take six standard deviations.
    for count in perDoubling[0..<16] { #expect(abs(count - 4000) < 370) }
    #expect(random.logUniform(in: 5...5) == 5)
  }
}
