import Wire
import ZeroCopy

/// Bare pattern: every send carries the first bytes of the seed's pattern, which the slots
/// share (``SendOptions/constant``); nothing is touched per send.
struct PatternContent: SendContent, ~Copyable {
  let seed: UInt64
  var budget: SendBudget

  var failure: Int32 { 0 }

  mutating func prepare(_ slot: UnsafeMutableRawBufferPointer) {
    unsafe Pattern.fill(unsafe: slot, seed: seed)
  }

  mutating func fill(
    stream: Int, finishing: Bool, into slot: UnsafeMutableRawBufferPointer
  ) -> SendFill {
    if finishing || budget.isSpent { return .ended }
    let length = Int(min(UInt64(slot.count), budget.bytes))
    budget.spend(bytes: length)
    return SendFill(length: length, records: 0)
  }
}
