/// How often values of which size occurred: fixed memory, bounded relative error.
///
/// Values below 64 are counted exactly. Above, each octave (2^n to 2^(n+1)) has 64 classes of equal
/// width, so a value read back is at most 1/64 (1.6 %) above the value recorded. The whole range of
/// UInt64 is covered. One thread at a time; a histogram per thread, merged when read.
///
/// - Cost: 3776 counters (30 KiB) allocated at init; ``record(_:)`` is a call of about 25
///   instructions, meant for once a batch rather than once a buffer.
@safe
public struct Histogram: ~Copyable, @unchecked Sendable {
  // Sendable: it owns its memory alone, so it moves to another thread whole.
  private let classes: UnsafeMutablePointer<UInt64>
  /// Values recorded.
  public private(set) var count: UInt64
  /// The sum of all values, modulo 2^64.
  public private(set) var sum: UInt64
  /// The smallest and largest value, exact; `.max` and 0 when nothing was recorded.
  public private(set) var minimum: UInt64
  public private(set) var maximum: UInt64

  public init() {
    unsafe classes = UnsafeMutablePointer<UInt64>.allocate(capacity: Histogram.classCount)
    unsafe classes.initialize(repeating: 0, count: Histogram.classCount)
    count = 0
    sum = 0
    minimum = .max
    maximum = 0
  }

  deinit { unsafe classes.deallocate() }

  /// log2 of the classes per octave.
  static var precision: UInt64 { 6 }
  /// Exact values fill one octave's worth; then one octave for each higher bit.
  static var classCount: Int { (64 - 6 + 1) << 6 }

  /// The class of a value; < classCount for every UInt64.
  static func index(of value: UInt64) -> Int {
    guard value >= 1 << precision else { return Int(truncatingIfNeeded: value) }
    let shift = 63 &- UInt64(value.leadingZeroBitCount) &- precision
    // The top seven bits run from 64 to 127; each octave above the first adds 64.
    return Int(truncatingIfNeeded: (shift &<< precision) &+ (value &>> shift))
  }

  /// The largest value of a class.
  static func upperBound(of index: Int) -> UInt64 {
    guard index >= 1 << (precision + 1) else { return UInt64(index) }
    let shift = UInt64(index) >> precision - 1
    let top = UInt64(index) - (shift << precision)
    return top << shift | (1 << shift - 1)
  }

  public mutating func record(_ value: UInt64) {
    // index(of:) is below classCount for every value: (57 << 6) + 127 = 3775.
    unsafe classes[Histogram.index(of: value)] &+= 1
    count &+= 1
    sum &+= value
    if value < minimum { minimum = value }
    if value > maximum { maximum = value }
  }

  /// The value that a `share` (0...1) of the recorded ones do not exceed, at most 1/64 too high and
  /// never above the maximum; nil when nothing was recorded.
  ///
  /// - Cost: one pass over the classes.
  public func percentile(_ share: Double) -> UInt64? {
    guard count > 0 else { return nil }
    let wanted = (share.isFinite ? min(max(share, 0), 1) : 1) * Double(count)
    let rank = min(max(UInt64(wanted.rounded(.up)), 1), count)
    var seen: UInt64 = 0
    for index in 0..<Histogram.classCount {
      seen &+= unsafe classes[index]
      if seen >= rank { return min(Histogram.upperBound(of: index), maximum) }
    }
    return maximum
  }

  /// The mean, nil when nothing was recorded. Exact while the sum stays below 2^53.
  public var mean: Double? { count == 0 ? nil : Double(sum) / Double(count) }

  /// Adds what another histogram counted.
  public mutating func merge(_ other: borrowing Histogram) {
    for index in 0..<Histogram.classCount {
      unsafe classes[index] &+= other.classes[index]
    }
    count &+= other.count
    sum &+= other.sum
    minimum = min(minimum, other.minimum)
    maximum = max(maximum, other.maximum)
  }

  /// Forgets everything; the memory stays.
  public mutating func reset() {
    unsafe classes.update(repeating: 0, count: Histogram.classCount)
    count = 0
    sum = 0
    minimum = .max
    maximum = 0
  }
}
