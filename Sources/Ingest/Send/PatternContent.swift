import Wire
import ZeroCopy

/// Bare pattern: every send carries the first bytes of the seed's pattern, which the slots
/// share (``SendOptions/constant``); nothing is touched per send.
struct PatternContent: SendContent, ~Copyable {
  let seed: UInt64
  /// What is left to send.
  var bytes: UInt64

  var failure: Int32 { 0 }

  mutating func prepare(_ slot: UnsafeMutableRawBufferPointer) {
    unsafe Pattern.fill(unsafe: slot, seed: seed)
  }

  mutating func fill(
    stream: Int, finishing: Bool, into slot: UnsafeMutableRawBufferPointer
  ) -> SendFill {
    // A pattern has no records to count, and "without limit" is more bytes than any run sends.
    guard !finishing, bytes > 0 else { return .ended }
    let length = min(UInt64(slot.count), bytes)
    bytes &-= length
    return SendFill(length: Int(length), records: 0)
  }
}
