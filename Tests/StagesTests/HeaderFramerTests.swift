import IngestTestSupport
import RingCore
import Stages
import Testing

@Suite struct HeaderFramerTests {
  /// Two bytes of magic, a length of three bytes, a flag; two bytes after the payload.
  private static let framer = HeaderFramer(
    size: 6, length: .init(at: 2, bytes: 3), magic: .init(at: 0, [0x4b, 0x41]), trailer: 2,
    max: 100)

  private static func record(_ payload: String) -> [UInt8] {
    [0x4b, 0x41, 0, 0, UInt8(payload.utf8.count), 9] + text(payload) + [7, 8]
  }

  @Test func records() {
    let payloads = ["first", "", "0123456789abcdef", "", "z"]
    expectRecords(Self.framer, payloads.flatMap(Self.record), payloads.map(text))
    expectRecords(Self.framer, [], [])
  }

  @Test func framingIsCounted() {
    let stream = Self.record("abc") + Self.record("")
    let outcome = drive(Self.framer, NoChecksum(), stream, parts: [stream.count])
    #expect(outcome.counts.framingBytes == 16)
    #expect(outcome.counts.payloadBytes == 3)
  }

  /// Every width and order, the number counting more or less than the payload.
  @Test(
    arguments: [1, 2, 3, 4, 8], [LengthFramer.Endian.big, .little])
  func lengths(bytes: Int, endian: LengthFramer.Endian) {
    for plus in [-11, 0, 5] {
      let framer = HeaderFramer(
        size: 11, length: .init(at: 3, bytes: bytes, endian: endian, plus: plus), max: 200)
      func record(_ payload: [UInt8]) -> [UInt8] {
        let value = UInt64(payload.count - plus)
        let little = (0..<bytes).map { UInt8(truncatingIfNeeded: value >> UInt64($0 * 8)) }
        let length = endian == .little ? little : little.reversed()
        return [1, 2, 3] + length + [UInt8](repeating: 0xee, count: 8 - bytes) + payload
      }
      let payloads = ["fifth", "longer than it", "a5a5a5"].map(text)
      expectRecords(framer, payloads.flatMap(record), payloads)
    }
  }

  @Test func aWrongMagicIsTold() {
    let good = Self.record("ok")
    for place in 0..<2 {
      var bad = Self.record("bad")
      bad[place] = 0x20
      let fault = Fault(
        .unexpectedByte, record: 1, offset: UInt64(good.count + place),
        expected: [0x4b, 0x41][place], found: 0x20)
      expectRecords(Self.framer, good + bad, [text("ok")], faults: [fault], refused: true)
      // As soon as it is there: the peer may send no more.
      expectRecords(
        Self.framer, good + bad[...place], [text("ok")], faults: [fault], refused: true)
    }
  }

  @Test func lengthsOutOfBounds() {
    let short = HeaderFramer(size: 4, length: .init(at: 0, bytes: 4, plus: -4), max: 10)
    expectRecords(
      short, [0, 0, 0, 5, 1, 0, 0, 0, 3], [[1]],
      faults: [Fault(.recordTooShort, record: 1, offset: 5, expected: 4, found: 3)],
      refused: true)
    expectRecords(
      short, [0, 0, 0, 15], [],
      faults: [Fault(.recordTooLong, record: 0, offset: 0, expected: 10, found: 11)],
      refused: true)
    // The longest number must not wrap around to a short one.
    for plus in [0, 9, -9] {
      let framer = HeaderFramer(size: 9, length: .init(at: 1, bytes: 8, plus: plus), max: 10)
      let found = plus == -9 ? UInt64.max - 9 : .max
      expectRecords(
        framer, [0] + [UInt8](repeating: 0xff, count: 8), [],
        faults: [Fault(.recordTooLong, record: 0, offset: 1, expected: 10, found: found)],
        refused: true)
    }
  }

  @Test func truncated() {
    let good = Self.record("ok")
    let bad = Self.record("truncated")
    for cut in 1..<bad.count {
      let announced = cut < 6 ? 6 : bad.count
      expectRecords(
        Self.framer, good + bad[..<cut], [text("ok")],
        faults: [
          Fault(
            .truncated, record: 1, offset: UInt64(good.count), expected: UInt64(announced),
            found: UInt64(cut))
        ])
    }
  }

  @Test func aHeadIsSkippedOnce() {
    let framer = HeaderFramer(size: 1, length: .init(at: 0, bytes: 1), max: 100, headMax: 20)
    for head in ["a: b\r\n\r\n", "a\nb\n\n", "\r\n", "\n", "\r\r\n\r\n"] {
      expectRecords(
        framer, text(head) + [2, 104, 105, 0, 3, 10, 10, 10], [text("hi"), [], [10, 10, 10]])
      // A head alone is no record, and half of one is told.
      expectRecords(framer, text(head), [])
      let half = head.utf8.count - 1
      if half > 0 {
        expectRecords(
          framer, Array(text(head).dropLast()), [],
          faults: [
            Fault(
              .truncated, record: 0, offset: 0, expected: UInt64(half + 1), found: UInt64(half))
          ])
      }
    }
    expectRecords(
      framer, text("0123456789abcdefghijk\n\n"), [],
      faults: [Fault(.noEmptyLine, record: 0, offset: 20, expected: 20, found: 21)],
      refused: true)
    // Places are told from the stream's start, the head included.
    expectRecords(
      framer, text("a\n\n") + [1, 1, 200], [[1]],
      faults: [Fault(.recordTooLong, record: 1, offset: 5, expected: 100, found: 200)],
      refused: true)
    expectRecords(
      framer, text("a\n\n") + [200], [],
      faults: [Fault(.recordTooLong, record: 0, offset: 3, expected: 100, found: 200)],
      refused: true)
  }
}
