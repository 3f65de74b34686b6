import Wire
import ZeroCopy

/// One wire record per send, as long as the send. The payload and its digest are made once; a send
/// costs 32 bytes of header.
@safe
struct RecordContent: SendContent, ~Copyable {
  private let seed: UInt64
  private let kind: ChecksumKind
  private let sequences: UnsafeMutablePointer<UInt64>
  private let streamCount: Int
  private var budget: SendBudget
  /// Of the payload of a full send; the same in every slot.
  private var digest: UInt64?

  var failure: Int32 { 0 }

  init(seed: UInt64, kind: ChecksumKind, streams: Int, budget: SendBudget) {
    self.seed = seed
    self.kind = kind
    self.budget = budget
    streamCount = streams
    unsafe sequences = .allocate(capacity: streams)
    unsafe sequences.initialize(repeating: 0, count: streams)
  }

  deinit { unsafe sequences.deallocate() }

  mutating func prepare(_ slot: UnsafeMutableRawBufferPointer) {
    let payload = unsafe UnsafeMutableRawBufferPointer(rebasing: slot[WireHeader.size...])
    unsafe Pattern.fill(unsafe: payload, seed: seed)
    if digest == nil { digest = unsafe Digest.of(payload.bytes, kind) }
  }

  mutating func fill(
    stream: Int, finishing: Bool, into slot: UnsafeMutableRawBufferPointer
  ) -> SendFill {
    if finishing || budget.isSpent { return .ended }
    var length = slot.count
    // Every slot was prepared before the first fill.
    var digest = digest ?? 0
    if budget.bytes < UInt64(length) {
      // The last record ends on the limit, unless that leaves no room for its header.
      length = max(Int(budget.bytes), WireHeader.size)
      let payload = unsafe UnsafeMutableRawBufferPointer(rebasing: slot[WireHeader.size..<length])
      digest = unsafe Digest.of(payload.bytes, kind)
    }
    let sequence = unsafe sequences[stream]
    let header = WireHeader(
      kind: kind, length: UInt32(length - WireHeader.size), sequence: sequence, digest: digest)
    // A slot is at least as long as a header (SendPlan refuses shorter ones).
    unsafe header.encode(unsafeInto: slot.baseAddress!)
    unsafe sequences[stream] = sequence &+ 1
    budget.spend(bytes: length)
    budget.spendRecord()
    return SendFill(length: length, records: 1)
  }
}
