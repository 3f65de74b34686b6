/// Durations as people write them: a whole number with ms, s, m or h.
enum TimeSpan {
  private static let units: [(suffix: String, nanoseconds: UInt64)] = [
    ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000),
  ]

  /// The nanoseconds of `10m`, nil when that is no duration.
  static func nanoseconds(_ text: String) -> UInt64? {
    for unit in units where text.hasSuffix(unit.suffix) {
      let digits = text.dropLast(unit.suffix.count)
      guard !digits.isEmpty, digits.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }),
        let number = UInt64(digits)
      else { continue }
      let (product, overflow) = number.multipliedReportingOverflow(by: unit.nanoseconds)
      return overflow ? nil : product
    }
    return nil
  }

  /// The shortest spelling that ``nanoseconds(_:)`` reads back as the same number.
  static func spelled(_ nanoseconds: UInt64) -> String {
    for unit in units.reversed()
    where nanoseconds > 0 && nanoseconds % unit.nanoseconds == 0 {
      return "\(nanoseconds / unit.nanoseconds)\(unit.suffix)"
    }
    return "\(nanoseconds / 1_000_000)ms"
  }
}
