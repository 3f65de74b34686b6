import IngestTestSupport
import RingCore
import Stages
import Testing
import Wire

@Suite struct WireFramerTests {
  let payloads = ["first", "", "0123456789", ""].map(text)
  var stream: [UInt8] {
    payloads.enumerated().flatMap { wireRecord(UInt64($0.offset), $0.element) }
  }

  @Test func records() {
    expectRecords(WireFramer(), stream, payloads)
    expectRecords(WireFramer(), [], [])
  }

  @Test func truncated() {
    let good = wireRecord(0, text("ok"))
    let bad = wireRecord(1, text("cut"))
    for cut in 1..<bad.count {
      expectRecords(
        WireFramer(), good + bad[..<cut], [text("ok")],
        faults: [
          Fault(
            .truncated, record: 1, offset: 34, expected: cut < 32 ? 32 : 35, found: UInt64(cut))
        ])
    }
  }

  @Test func gapsAreToldAndCountingGoesOn() {
    let stream = [0, 1, 5, 6, 3, 4].flatMap { wireRecord($0, text("abc")) }
    expectRecords(
      WireFramer(), stream, [[UInt8]](repeating: text("abc"), count: 6),
      faults: [
        Fault(.sequence, record: 2, offset: 70, expected: 2, found: 5),
        Fault(.sequence, record: 4, offset: 140, expected: 7, found: 3),
      ])
  }

  @Test func garbage() {
    let good = wireRecord(0, text("ok"))
    let word = UInt64(0x6b6e_756a)  // "junk", little-endian
    for garbage in ["junk", "junk and more of it than a header would hold, for sure"] {
      expectRecords(
        WireFramer(), good + text(garbage), [text("ok")],
        faults: [
          Fault(
            .badMagic, record: 1, offset: 34, expected: UInt64(WireHeader.magic), found: word)
        ], refused: true)
    }
  }

  @Test func damagedHeader() {
    let good = wireRecord(0, text("ok"))
    for place in 4..<32 {
      var bad = wireRecord(1, text("abcde"))
      bad[place] ^= 0x20
      let outcome = drive(WireFramer(), NoChecksum(), good + bad, parts: [good.count + bad.count])
      #expect(outcome.refused)
      #expect(outcome.records == [text("ok")])
      #expect(outcome.faults.map(\.kind) == [.badHeader])
      let fault = outcome.faults[0]
      expectRecords(WireFramer(), good + bad, [text("ok")], faults: [fault], refused: true)
    }
  }

  @Test func bound() {
    let payload = [UInt8](repeating: 1, count: 10)
    expectRecords(WireFramer(max: 10), wireRecord(0, payload), [payload])
    expectRecords(
      WireFramer(max: 9), wireRecord(0, text("ok")) + wireRecord(1, payload), [text("ok")],
      faults: [Fault(.recordTooLong, record: 1, offset: 34, expected: 9, found: 10)],
      refused: true)
  }

  @Test func unknownVersionAndKind() {
    for (place, kind) in [(4, Fault.Kind.unknownFormat), (5, .checksumKind)] {
      var bytes = wireRecord(0, text("x"))
      bytes[place] = 9
      let front = digest(Array(bytes[..<12] + bytes[16..<32]), .crc32c)
      for index in 0..<4 { bytes[12 + index] = UInt8(truncatingIfNeeded: front >> (index * 8)) }
      let known: UInt64 = place == 4 ? 1 : 2
      expectRecords(
        WireFramer(), bytes, [],
        faults: [Fault(kind, record: 0, offset: UInt64(place), expected: known, found: 9)],
        refused: true)
    }
  }

  @Test(arguments: 0..<20)
  func randomRecordsAndCuts(_ seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let payloads = (0..<40).map { _ in random.bytes(random.logUniform(upTo: 4000) - 1) }
    let kind = ChecksumKind.allCases[1 + Int(seed % 2)]
    let stream = payloads.enumerated().flatMap {
      wireRecord(UInt64($0.offset), $0.element, kind: kind)
    }
    for most in [50, 5000, 100_000] {
      let outcome = drive(
        WireFramer(), VerifyChecksum(kind, maxConnections: 3), stream,
        parts: random.split(stream.count, most: most))
      #expect(outcome.records == payloads)
      #expect(outcome.faults == [] && outcome.complaints == [])
      #expect(outcome.verified == 40)
    }
  }
}
