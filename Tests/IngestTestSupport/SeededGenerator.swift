/// SplitMix64: the same seed gives the same numbers on every machine, so a failing case can be
/// named by its seed.
package struct SeededGenerator: RandomNumberGenerator, Sendable {
  private var state: UInt64

  package init(seed: UInt64) { state = seed }

  package mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var word = state
    word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
    word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
    return word ^ (word >> 31)
  }

  /// `count` bytes that differ from place to place.
  package mutating func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
  }

  /// A size between 1 and `limit`, each order of magnitude as likely as the other.
  package mutating func logUniform(upTo limit: Int) -> Int {
    let bits = Int.random(in: 0...(Int.bitWidth - limit.leadingZeroBitCount - 1), using: &self)
    return min(Int.random(in: (1 << bits)...(2 << bits - 1), using: &self), limit)
  }

  /// `whole` cut into parts of 1 to `most`, in random places.
  package mutating func split(_ whole: Int, most: Int) -> [Int] {
    var parts: [Int] = []
    var left = whole
    while left > 0 {
      let part = min(logUniform(upTo: most), left)
      parts.append(part)
      left -= part
    }
    return parts
  }
}
