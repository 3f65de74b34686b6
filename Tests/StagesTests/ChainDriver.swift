import IngestTestSupport
import RingCore
import Stages
import Testing
import Wire

/// Keeps what a chain hands on, put together to records again.
struct RecordingSink: Sink, ~Copyable {
  var records: [[UInt8]] = []
  /// Payload of the record at hand; of a stream without records, all of it.
  var open: [UInt8] = []
  var inside = false
  /// All bytes, framing included, in order.
  var bytes: [UInt8] = []
  var complaints: [String] = []

  mutating func take(
    _ piece: Piece, of lease: borrowing Lease, at start: UInt32, in batch: inout Batch
  ) {
    if piece.count == 0 { complaints.append("an empty piece") }
    if piece.first == inside { complaints.append("a piece that starts \(inside), is \(piece)") }
    let whole = batch.area.withBytes(of: lease) { span in
      unsafe span.extracting(Int(start)..<Int(start + piece.count)).withUnsafeBytes {
        unsafe Array($0)
      }
    }
    bytes += whole
    open += whole[Int(piece.lead)..<Int(piece.lead + piece.payload)]
    inside = !piece.last
    if piece.last { closeRecord() }
  }

  mutating func closeRecord() {
    records.append(open)
    open = []
    inside = false
  }

  mutating func finish(_ lease: consuming Lease, in batch: inout Batch) -> Verdict { lease.done() }
  mutating func opened(_ connection: Connection, in batch: inout Batch) {}
  mutating func closed(_ connection: Connection, _ end: StreamEnd, in batch: inout Batch) {}
  mutating func endBatch(in batch: inout Batch) {}
  mutating func completed(_ index: UInt32, result: Int32, in batch: inout Batch) {}
  mutating func endRecord(of connection: Connection, in batch: inout Batch) { closeRecord() }
  var pending: Int { 0 }
  var readsPayload: Bool { true }
}

/// What came of a stream.
struct Outcome: Equatable {
  var records: [[UInt8]] = []
  var faults: [Fault] = []
  var refused = false
  var counts = ChainCounts()
  var digest: UInt64?
  var verified: UInt64 = 0
  var complaints: [String] = []
}

/// Sends `stream`, cut into leases of the given lengths, through a chain. Each lease lies in
/// another place of the area, between bytes that are not its own, and is overwritten after.
func drive<F: Framer, C: Checksum & ~Copyable>(
  _ framer: F, _ checksum: consuming C, _ stream: [UInt8], parts: [Int],
  end: StreamEnd = .finished, serial: UInt64 = 7
) -> Outcome {
  // Four buffers, each with room for the longest lease and bytes around it.
  let longest = parts.max() ?? 0
  let shift = max(12, Int.bitWidth - (longest + 128).leadingZeroBitCount)
  let area = FakeArea(layout: AreaLayout(bufferSize: 1 << shift, bufferCount: 4)!)
  var batch = Batch(area: area.memory, submissions: nil, holdLimit: 1)
  var chain = RecordChain(
    framer: framer, checksum: checksum, sink: RecordingSink(), maxConnections: 3)
  let connection = Connection(slot: 2, serial: serial, peer: Endpoint())
  chain.opened(connection, in: &batch)
  var outcome = Outcome()
  var start = 0
  for (index, part) in parts.enumerated() where !batch.refused {
    let offset = UInt64((index % 4) << shift + index * 7 % 64 + 64)
    let bytes = stream[start..<start + part]
    area.write(bytes, at: offset)
    let lease = Lease(offset: offset, length: UInt32(part), connection: 2)
    let answer = chain.take(lease, in: &batch).take()
    if answer != offset {
      outcome.complaints.append("lease answered with \(String(describing: answer))")
    }
    area.write(ArraySlice(repeating: 0x0a, count: part), at: offset)
    start += part
  }
  outcome.refused = batch.refused
  chain.closed(connection, batch.refused ? .refused : end, in: &batch)
  if !batch.refused, chain.rest.sink.bytes != stream { outcome.complaints.append("bytes differ") }
  outcome.complaints += chain.rest.sink.complaints
  outcome.records = chain.rest.sink.records
  outcome.counts = chain.counts(slot: 2)
  let summary = chain.summary(of: connection)
  if summary.records != outcome.counts.records || chain.totals.records != summary.records
    || chain.totals.payloadBytes != outcome.counts.payloadBytes
  {
    outcome.complaints.append("counts differ: \(chain.totals), \(outcome.counts)")
  }
  outcome.digest = summary.digest
  outcome.verified = chain.rest.checksum.verified
  batch.drainFaults { outcome.faults.append($0) }
  return outcome
}

/// Ways to cut `count` bytes: whole, in two at every place, byte by byte, and at random.
func cuts(of count: Int, seed: UInt64 = 1, random: Int = 20) -> [[Int]] {
  guard count > 0 else { return [[]] }
  var ways = [[count], [Int](repeating: 1, count: count)]
  for first in 1..<max(count, 1) { ways.append([first, count - first]) }
  var generator = SeededGenerator(seed: seed)
  for _ in 0..<random { ways.append(generator.split(count, most: max(count / 2, 1))) }
  return ways
}

/// Checks that `stream` gives these records and faults however it is cut.
func expectRecords<F: Framer>(
  _ framer: F, _ stream: [UInt8], _ records: [[UInt8]], faults: [Fault] = [],
  refused: Bool = false, end: StreamEnd = .finished,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  var faults = faults
  for index in faults.indices { faults[index].connection = 7 }
  for parts in cuts(of: stream.count) {
    let outcome = drive(framer, NoChecksum(), stream, parts: parts, end: end)
    let fits =
      outcome.records == records && outcome.faults == faults && outcome.refused == refused
      && outcome.complaints.isEmpty && outcome.counts.records == UInt64(records.count)
    if !fits {
      Issue.record("cut into \(parts): \(outcome)", sourceLocation: sourceLocation)
      return
    }
  }
}

func text(_ text: String) -> [UInt8] { Array(text.utf8) }

/// A wire record; `change` may spoil the header before it is written.
func wireRecord(
  _ sequence: UInt64, _ payload: [UInt8], kind: ChecksumKind = .crc32c,
  flags: WireHeader.Flags = [], change: (inout WireHeader) -> Void = { _ in }
) -> [UInt8] {
  var header = WireHeader(
    kind: kind, flags: flags, length: UInt32(payload.count), sequence: sequence,
    digest: digest(payload, kind))
  change(&header)
  var bytes = [UInt8](repeating: 0, count: WireHeader.size)
  var span = bytes.mutableSpan
  var raw = unsafe span.mutableBytes
  header.encode(into: &raw)
  return bytes + payload
}

func digest(_ bytes: [UInt8], _ kind: ChecksumKind) -> UInt64 {
  unsafe Digest.of(bytes.span.bytes, kind)
}

func pattern(_ count: Int, seed: UInt64) -> [UInt8] {
  var bytes = [UInt8](repeating: 0, count: count)
  var span = bytes.mutableSpan
  var raw = unsafe span.mutableBytes
  Pattern.fill(&raw, seed: seed)
  return bytes
}
