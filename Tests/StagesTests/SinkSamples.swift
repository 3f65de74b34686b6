import CIngestKernel
import Glibc
import IngestTestSupport
import RingCore
import Stages

/// A record as a framer would find it.
struct SampleRecord {
  var lead = 0
  var payload: Int
  var trail = 0
  var count: Int { lead + payload + trail }
}

/// A connection's stream with its records, handed out lease by lease.
struct SampleStream {
  let connection: Connection
  let bytes: [UInt8]
  let records: [SampleRecord]
  var cursor = 0
  /// The record at the cursor, and how far the cursor is into it.
  var record = 0
  var into = 0
  /// No piece ends the last record, as in a text without a last newline.
  var openEnd = false

  init(slot: UInt32, serial: UInt64, bytes: [UInt8], records: [SampleRecord]) {
    var raw = ik_endpoint()
    raw.family = UInt16(AF_INET)
    raw.port = UInt16(40_000 + serial)
    raw.address.0 = 127
    raw.address.3 = 1
    connection = Connection(slot: slot, serial: serial, peer: Endpoint(raw: raw))
    self.bytes = bytes
    self.records = records
    precondition(records.reduce(0) { $0 + $1.count } == bytes.count, "records cover the stream")
  }

  var left: Int { bytes.count - cursor }

  /// What `bytes=payload` is to write.
  var payload: [UInt8] {
    var start = 0
    var result: [UInt8] = []
    for record in records {
      result += bytes[(start + record.lead)..<(start + record.lead + record.payload)]
      start += record.count
    }
    return result
  }

  /// The pieces of the next `count` bytes.
  mutating func advance(_ count: Int) -> [Piece] {
    var pieces: [Piece] = []
    var left = count
    cursor += count
    while left > 0 {
      let shape = records[record]
      // Every other record's lead is a piece of its own where it lies whole in a lease.
      let stop = record % 2 == 1 && into < shape.lead ? shape.lead : shape.count
      let end = min(into + left, stop)
      func overlap(_ low: Int, _ high: Int) -> UInt32 {
        UInt32(max(0, min(end, high) - max(into, low)))
      }
      pieces.append(
        Piece(
          lead: overlap(0, shape.lead), payload: overlap(shape.lead, shape.lead + shape.payload),
          trail: overlap(shape.lead + shape.payload, shape.count), first: into == 0,
          last: end == shape.count && !(openEnd && record == records.count - 1)))
      left -= end - into
      into = end
      if into == shape.count {
        record += 1
        into = 0
      }
    }
    return pieces
  }
}

/// A stream of records of one size; one record when none is given.
func sample(
  slot: UInt32, serial: UInt64, bytes: [UInt8], record: Int? = nil
) -> SampleStream {
  let size = record ?? bytes.count
  let records = (0..<(bytes.count / size)).map { _ in SampleRecord(payload: size) }
  return SampleStream(slot: slot, serial: serial, bytes: bytes, records: records)
}

/// Records of 12 bytes of lead (connection, sequence, payload size) and a trailing byte.
func recordStream(
  slot: UInt32, serial: UInt64, records count: Int, upTo limit: Int,
  _ generator: inout SeededGenerator
) -> SampleStream {
  var bytes: [UInt8] = []
  var records: [SampleRecord] = []
  for sequence in 0..<count {
    let payload = generator.logUniform(upTo: limit)
    for word in [UInt32(serial), UInt32(sequence), UInt32(payload)] {
      for shift in [0, 8, 16, 24] as [UInt32] {
        bytes.append(UInt8(truncatingIfNeeded: word >> shift))
      }
    }
    bytes += generator.bytes(payload) + [0x0a]
    records.append(SampleRecord(lead: 12, payload: payload, trail: 1))
  }
  return SampleStream(slot: slot, serial: serial, bytes: bytes, records: records)
}
