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
    guard !finishing else { return .ended }
    // A pattern has no records to count, and "without limit" is more bytes than any run sends.
    let (left, isShort) = bytes.subtractingReportingOverflow(UInt64(slot.count))
    guard !isShort else { return rest() }
    bytes = left
    return SendFill(length: slot.count, records: 0)
  }

  /// The end of a limited run.
  private mutating func rest() -> SendFill {
    guard bytes > 0 else { return .ended }
    defer { bytes = 0 }
    return SendFill(length: Int(bytes), records: 0)
  }
}
