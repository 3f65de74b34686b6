import Glibc

/// Random numbers that a seed decides: xoshiro256**, seeded through splitmix64. For sizes and
/// contents of test traffic; not for secrets.
public struct SeededRandom: RandomNumberGenerator, Sendable {
  private var a, b, c, d: UInt64

  public init(seed: UInt64) {
    // splitmix64 is a bijection, and its inputs differ: the four are never all zero.
    a = SeededRandom.splitmix64(seed)
    b = SeededRandom.splitmix64(seed &+ SeededRandom.step)
    c = SeededRandom.splitmix64(seed &+ 2 &* SeededRandom.step)
    d = SeededRandom.splitmix64(seed &+ 3 &* SeededRandom.step)
  }

  public mutating func next() -> UInt64 {
    let result = rotate(b &* 5, 7) &* 9
    let shifted = b &<< 17
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= shifted
    d = rotate(d, 45)
    return result
  }

  /// A size whose logarithm is uniform: each doubling is as likely as the next. `range` is of
  /// positive numbers.
  ///
  /// - Cost: one exp2(3), two log2(3).
  public mutating func logUniform(in range: ClosedRange<Int>) -> Int {
    let low = max(range.lowerBound, 1)
    let high = max(range.upperBound, low)
    // Drawn from [low, high + 1) and rounded down, so that `high` has its share.
    let span = log2(Double(high) + 1) - log2(Double(low))
    let unit = Double(next() &>> 11) * 0x1p-53
    let drawn = Int(Double(low) * exp2(unit * span))
    return min(max(drawn, low), high)
  }

  /// One output of splitmix64 for the state `value`: a mixing that maps 64 bits to 64 bits.
  public static func splitmix64(_ value: UInt64) -> UInt64 {
    var mixed = value &+ step
    mixed = (mixed ^ (mixed &>> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed &>> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed &>> 31)
  }

  private static let step: UInt64 = 0x9e37_79b9_7f4a_7c15

  @inline(__always)
  private func rotate(_ value: UInt64, _ count: UInt64) -> UInt64 {
    value &<< count | value &>> (64 &- count)
  }
}
