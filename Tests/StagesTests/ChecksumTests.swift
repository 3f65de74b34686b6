import IngestTestSupport
import RingCore
import Stages
import Testing
import Wire

@Suite struct ComputeChecksumTests {
  @Test(arguments: [ChecksumKind.crc32c, .xxh3])
  func digestOfAConnection(_ kind: ChecksumKind) {
    let stream = text("one\ntwo\n\nthree")
    for parts in cuts(of: stream.count) {
      let raw = drive(
        RawFramer(), ComputeChecksum(kind, maxConnections: 3), stream, parts: parts)
      #expect(raw.digest == digest(stream, kind))
      let lines = drive(
        LinesFramer(), ComputeChecksum(kind, maxConnections: 3), stream, parts: parts)
      #expect(lines.digest == digest(text("onetwothree"), kind), "framing is left out")
      #expect(raw.faults == [] && lines.faults == [])
    }
  }

  @Test(arguments: [ChecksumKind.crc32c, .xxh3])
  func expectedDigest(_ kind: ChecksumKind) {
    let stream = text("some\ntext\n")
    let right = digest(stream, kind)
    for (expected, end, faults) in [
      (right, StreamEnd.finished, 0), (right ^ 1, .finished, 1), (right ^ 1, .failed(104), 1),
      (right ^ 1, .stopped, 0),
    ] {
      let outcome = drive(
        RawFramer(), ComputeChecksum(kind, expected: expected, maxConnections: 3), stream,
        parts: [4, 6], end: end)
      var fault = Fault(.checksum, record: 0, offset: 10, expected: expected, found: right)
      fault.connection = 7
      #expect(outcome.faults == [Fault](repeating: fault, count: faults))
    }
  }

  /// The digest starts anew with each connection of a slot.
  @Test func slotsAreUsedAgain() {
    var checksum = ComputeChecksum(.xxh3, maxConnections: 1)
    let bytes = text("abc")
    for _ in 0..<2 {
      checksum.opened(slot: 0)
      let flaw = unsafe checksum.take(
        bytes.span.bytes, payload: 0..<3, of: Piece(payload: 3, first: true, last: true), slot: 0,
        expected: .nothing)
      #expect(flaw == nil)
      let found = checksum.digest(slot: 0)
      #expect(found == digest(bytes, .xxh3))
    }
  }
}

@Suite struct VerifyChecksumTests {
  func verify(
    _ stream: [UInt8], _ kind: ChecksumKind, parts: [Int], end: StreamEnd = .finished
  ) -> Outcome {
    drive(
      WireFramer(), VerifyChecksum(kind, maxConnections: 3), stream, parts: parts, end: end)
  }

  @Test(arguments: [ChecksumKind.crc32c, .xxh3])
  func goodRecords(_ kind: ChecksumKind) {
    let stream = ["first", "", "0123456789"].enumerated().flatMap {
      wireRecord(UInt64($0.offset), text($0.element), kind: kind)
    }
    for parts in cuts(of: stream.count) {
      let outcome = verify(stream, kind, parts: parts)
      #expect(outcome.verified == 3)
      #expect(outcome.faults == [] && outcome.digest == nil)
    }
  }

  /// Each flipped payload byte is told with its record; the others still fit.
  @Test(arguments: [ChecksumKind.crc32c, .xxh3])
  func flippedByte(_ kind: ChecksumKind) {
    let good = [3, 40, 5].enumerated().map {
      wireRecord(UInt64($0.offset), pattern($0.element, seed: 5), kind: kind)
    }
    for place in 0..<40 {
      var bad = good[1]
      bad[32 + place] ^= 1
      let stream = good[0] + bad + good[2]
      var fault = Fault(
        .checksum, record: 1, offset: 35, expected: digest(Array(good[1][32...]), kind),
        found: digest(Array(bad[32...]), kind))
      fault.connection = 7
      for parts in cuts(of: stream.count, random: 2) {
        let outcome = verify(stream, kind, parts: parts)
        #expect(outcome.faults == [fault])
        #expect(outcome.verified == 2 && !outcome.refused)
        #expect(outcome.records.count == 3, "damaged records are handed on")
        if outcome.faults != [fault] { return }
      }
    }
  }

  /// In a pattern's record that lies in one lease the byte itself is named.
  @Test func flippedByteOfThePattern() {
    let flags = WireHeader.Flags.pattern(salt: 3)
    func record(_ sequence: UInt64, _ count: Int) -> [UInt8] {
      wireRecord(
        sequence, pattern(count, seed: 3 << 56 ^ sequence), kind: .crc32c, flags: flags)
    }
    let good = [record(0, 10), record(1, 300)]
    for place in [0, 1, 63, 64, 200, 299] {
      var stream = good[0] + good[1]
      stream[good[0].count + 32 + place] ^= 0x80
      let whole = verify(stream, .crc32c, parts: [stream.count])
      #expect(whole.faults.map(\.kind) == [.checksum])
      #expect(whole.faults.map(\.offset) == [UInt64(42 + 32 + place)])
      let halves = verify(stream, .crc32c, parts: [100, stream.count - 100])
      #expect(halves.faults.map(\.offset) == [42])
      #expect(halves.faults.map(\.record) == [1])
    }
  }

  /// A spoilt digest in a header of which the CRC fits: no byte of the payload is to blame.
  @Test func wrongDigestOfTheRightPattern() {
    let stream = wireRecord(0, pattern(20, seed: 0), flags: .pattern) { $0.digest ^= 1 }
    #expect(verify(stream, .crc32c, parts: [52]).faults.map(\.offset) == [0])
  }

  @Test func otherKindsAreToldOncePerConnection() {
    for (sent, asked) in [(ChecksumKind.xxh3, ChecksumKind.crc32c), (.none, .xxh3)] {
      let stream = (0..<5).flatMap { wireRecord($0, text("abc"), kind: sent) }
      for parts in [[stream.count], [Int](repeating: 1, count: stream.count)] {
        let outcome = verify(stream, asked, parts: parts)
        var fault = Fault(
          .checksumKind, record: 0, offset: 0, expected: UInt64(asked.rawValue),
          found: UInt64(sent.rawValue))
        fault.connection = 7
        #expect(outcome.faults == [fault])
        #expect(outcome.verified == 0 && outcome.records.count == 5 && !outcome.refused)
      }
    }
  }

  /// Records of both kinds in one stream: each is judged by its own header, in pieces too.
  @Test func mixedKinds() {
    let kinds: [ChecksumKind] = [.crc32c, .none, .crc32c, .xxh3, .crc32c]
    let stream = kinds.enumerated().flatMap {
      wireRecord(UInt64($0.offset), text("payload"), kind: $0.element)
    }
    for parts in cuts(of: stream.count) {
      let outcome = verify(stream, .crc32c, parts: parts)
      #expect(outcome.faults.map(\.kind) == [.checksumKind])
      #expect(outcome.faults.map(\.record) == [1])
      #expect(outcome.verified == 3)
    }
  }
}

@Suite struct ChainTests {
  /// Connections of one chain do not touch each other's state.
  @Test func connectionsAreSeparate() {
    let area = FakeArea(layout: AreaLayout(bufferSize: 4096, bufferCount: 4)!)
    var batch = Batch(area: area.memory, submissions: nil, holdLimit: 1)
    var chain = RecordChain(
      framer: LengthFramer(bytes: 2), checksum: ComputeChecksum(.crc32c, maxConnections: 8),
      sink: CountingSink(), maxConnections: 8)
    var streams = [[UInt8]](repeating: [], count: 8)
    for slot in 0..<8 {
      for length in slot..<slot + 5 {
        streams[slot] += [0, UInt8(length)] + [UInt8](repeating: UInt8(slot), count: length)
      }
    }
    for slot in 0..<8 {
      chain.opened(
        Connection(slot: UInt32(slot), serial: UInt64(slot + 1), peer: Endpoint()), in: &batch)
    }
    for byte in 0..<streams[7].count {
      for slot in 0..<8 where byte < streams[slot].count {
        area.write(streams[slot][byte...byte], at: 5)
        let back = chain.take(
          Lease(offset: 5, length: 1, connection: UInt32(slot)), in: &batch
        ).take()
        #expect(back == 5)
      }
    }
    for slot in 0..<8 {
      let connection = Connection(slot: UInt32(slot), serial: UInt64(slot + 1), peer: Endpoint())
      chain.closed(connection, .finished, in: &batch)
      let (counts, summary) = (chain.counts(slot: UInt32(slot)), chain.summary(of: connection))
      #expect(counts.records == 5 && summary.records == 5)
      #expect(counts.payloadBytes == UInt64(5 * slot + 10))
      let payload = [UInt8](repeating: UInt8(slot), count: 5 * slot + 10)
      #expect(summary.digest == digest(payload, .crc32c))
    }
    #expect(chain.totals.records == 40)
    #expect(batch.faultTotal == 0)
  }

  /// What the area must allow follows from what the chain is made of.
  @Test func whoReadsPayload() {
    let raw = RecordChain(
      framer: RawFramer(), checksum: NoChecksum(), sink: CountingSink(), maxConnections: 1)
    let lines = RecordChain(
      framer: LinesFramer(), checksum: NoChecksum(), sink: CountingSink(), maxConnections: 1)
    let digest = RecordChain(
      framer: FixedFramer(size: 1), checksum: ComputeChecksum(.crc32c, maxConnections: 1),
      sink: CountingSink(), maxConnections: 1)
    let found = (raw.readsPayload, lines.readsPayload, digest.readsPayload)
    #expect(found.0 == false)
    #expect(found.1 == true)
    #expect(found.2 == true)
  }
}

/// Takes nothing but the count.
struct CountingSink: Sink, ~Copyable {
  var pieces = 0
  mutating func take(
    _ piece: Piece, of lease: borrowing Lease, at start: UInt32, in batch: inout Batch
  ) { pieces += 1 }
  mutating func finish(_ lease: consuming Lease, in batch: inout Batch) -> Verdict { lease.done() }
  mutating func opened(_ connection: Connection, in batch: inout Batch) {}
  mutating func closed(_ connection: Connection, _ end: StreamEnd, in batch: inout Batch) {}
  mutating func endBatch(in batch: inout Batch) {}
  mutating func completed(_ index: UInt32, result: Int32, in batch: inout Batch) {}
  var pending: Int { 0 }
  var readsPayload: Bool { false }
}
