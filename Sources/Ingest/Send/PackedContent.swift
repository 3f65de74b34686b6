import Wire
import ZeroCopy

/// Wire records of log-uniform payload sizes, one after the other without regard to where sends
/// begin (streams), or as many whole ones as fit into each send (datagrams). Each payload is a
/// pattern of its own, so the receiver can check every byte against what it should be.
@safe
struct PackedContent: SendContent, ~Copyable {
  /// A record that is partly written.
  private struct Writer {
    var random: SeededRandom
    let salt: UInt8
    var sequence: UInt64 = 0
    var header = WireHeader(length: 0, sequence: 0)
    /// Bytes of the record written, of `total`, header included; equal when none is open.
    var written = 0
    var total = 0
    /// The payload size of the next record, drawn already.
    var drawn: Int?

    var isOpen: Bool { written < total }
    var patternSeed: UInt64 { UInt64(salt) << 56 ^ header.sequence }
  }

  private let kind: ChecksumKind
  private let sizes: ClosedRange<Int>
  private let whole: Bool
  private var budget: SendBudget
  private let writers: UnsafeMutablePointer<Writer>
  private let streamCount: Int
  /// Where a payload that spans sends is made once more for its digest, which comes before it.
  private let scratch: UnsafeMutableRawBufferPointer

  var failure: Int32 { 0 }

  /// `sizes` are of payloads; `whole` keeps records within a send, which then holds the largest.
  /// `streams` are the numbers that this ring's streams have among all, so that none repeats
  /// another's records.
  init(
    seed: UInt64, kind: ChecksumKind, sizes: ClosedRange<Int>, whole: Bool, streams: [Int],
    budget: SendBudget
  ) {
    self.kind = kind
    self.sizes = sizes
    self.whole = whole
    self.budget = budget
    streamCount = streams.count
    unsafe writers = .allocate(capacity: streams.count)
    for (index, number) in streams.enumerated() {
      let stream = UInt64(number)
      let mixed = SeededRandom.splitmix64(seed &+ stream)
      let writer = Writer(
        random: SeededRandom(seed: mixed), salt: UInt8(truncatingIfNeeded: stream))
      unsafe (writers + index).initialize(to: writer)
    }
    unsafe scratch = .allocate(byteCount: max(sizes.upperBound, 1), alignment: 64)
  }

  deinit {
    unsafe writers.deinitialize(count: streamCount)
    unsafe writers.deallocate()
    unsafe scratch.deallocate()
  }

  mutating func prepare(_ slot: UnsafeMutableRawBufferPointer) {}

  mutating func fill(
    stream: Int, finishing: Bool, into slot: UnsafeMutableRawBufferPointer
  ) -> SendFill {
    let writer = unsafe writers + stream
    var length = 0
    var records = 0
    while length < slot.count {
      if unsafe !writer.pointee.isOpen {
        guard !finishing, !budget.isSpent else { break }
        let room = slot.count - length
        guard unsafe open(&writer.pointee, room: room, empty: length == 0, slot, length) else {
          break
        }
      }
      length += unsafe write(&writer.pointee, into: slot, at: length)
      if unsafe !writer.pointee.isOpen { records += 1 }
    }
    return length == 0 ? .ended : SendFill(length: length, records: records)
  }

  /// Draws the next record and makes its header; false when it must wait for the next send.
  private mutating func open(
    _ writer: inout Writer, room: Int, empty: Bool, _ slot: UnsafeMutableRawBufferPointer, _ at: Int
  ) -> Bool {
    let size = writer.drawn ?? writer.random.logUniform(in: sizes)
    let total = size + WireHeader.size
    if whole && total > room && !empty {
      writer.drawn = size
      return false
    }
    writer.drawn = nil
    writer.header = WireHeader(
      kind: kind, flags: .pattern(salt: writer.salt), length: UInt32(size),
      sequence: writer.sequence)
    writer.sequence &+= 1
    writer.written = 0
    writer.total = total
    // A payload that fits is made where it belongs and read there; any other is made on the side.
    let payload =
      total <= room
      ? unsafe UnsafeMutableRawBufferPointer(
        rebasing: slot[(at + WireHeader.size)..<(at + total)])
      : unsafe UnsafeMutableRawBufferPointer(rebasing: scratch[0..<size])
    unsafe Pattern.fill(unsafe: payload, seed: writer.patternSeed)
    writer.header.digest = unsafe Digest.of(payload.bytes, kind)
    budget.spend(bytes: total)
    budget.spendRecord()
    return true
  }

  /// Writes as much of the open record as there is room for; returns the bytes.
  private func write(
    _ writer: inout Writer, into slot: UnsafeMutableRawBufferPointer, at: Int
  ) -> Int {
    let room = slot.count - at
    if writer.written == 0, writer.total <= room {
      // The payload is in place.
      unsafe writer.header.encode(unsafeInto: slot.baseAddress! + at)
      writer.written = writer.total
      return writer.total
    }
    var place = at
    if writer.written < WireHeader.size {
      place += unsafe writeHeader(&writer, into: slot, at: place)
    }
    let count = min(slot.count - place, writer.total - writer.written)
    if count > 0 {
      let part = unsafe UnsafeMutableRawBufferPointer(rebasing: slot[place..<(place + count)])
      unsafe Pattern.fill(
        unsafe: part, seed: writer.patternSeed,
        position: UInt64(writer.written - WireHeader.size))
      writer.written += count
      place += count
    }
    return place - at
  }

  /// A header may itself be cut by the end of a send.
  private func writeHeader(
    _ writer: inout Writer, into slot: UnsafeMutableRawBufferPointer, at: Int
  ) -> Int {
    let from = writer.written
    let count = min(WireHeader.size - from, slot.count - at)
    unsafe withUnsafeTemporaryAllocation(byteCount: WireHeader.size, alignment: 8) { bytes in
      unsafe writer.header.encode(unsafeInto: bytes.baseAddress!)
      unsafe UnsafeMutableRawBufferPointer(rebasing: slot[at..<(at + count)])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[from..<(from + count)]))
    }
    writer.written += count
    return count
  }
}
