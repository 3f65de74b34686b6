/// What is left to send on one ring, by amount.
struct SendBudget: Equatable, Sendable {
  /// `.max` without limit.
  var bytes: UInt64
  var records: UInt64

  static let unlimited = SendBudget(bytes: .max, records: .max)

  var isSpent: Bool { bytes == 0 || records == 0 }

  /// Takes bytes off; a record that does not end on the limit may go over it.
  @inline(__always)
  mutating func spend(bytes count: Int) {
    if bytes != .max { bytes -= min(bytes, UInt64(count)) }
  }

  @inline(__always)
  mutating func spendRecord() {
    if records != .max { records -= 1 }
  }

  /// The share of one of `parts`, of which the first ones get the remainder.
  func share(_ index: Int, of parts: Int) -> SendBudget {
    SendBudget(
      bytes: SendBudget.share(bytes, index, parts), records: SendBudget.share(records, index, parts)
    )
  }

  private static func share(_ total: UInt64, _ index: Int, _ parts: Int) -> UInt64 {
    if total == .max { return .max }
    let rest = total % UInt64(parts)
    return total / UInt64(parts) + (UInt64(index) < rest ? 1 : 0)
  }
}
