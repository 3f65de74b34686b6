import IngestTestSupport
import RingCore
import Stages
import Testing

@Suite struct RawAndFixedTests {
  @Test func rawHasNoRecords() {
    let stream = text("any bytes\nat all")
    for parts in cuts(of: stream.count) {
      let outcome = drive(RawFramer(), NoChecksum(), stream, parts: parts)
      #expect(outcome.counts.bytes == 16)
      #expect(outcome.counts.payloadBytes == 16)
      #expect(outcome.counts.records == 0)
      #expect(outcome.faults == [])
    }
  }

  @Test func fixed() {
    expectRecords(FixedFramer(size: 4), text("abcdEFGH1234"), ["abcd", "EFGH", "1234"].map(text))
    expectRecords(FixedFramer(size: 1), text("xyz"), ["x", "y", "z"].map(text))
    expectRecords(FixedFramer(size: 9), [], [])
  }

  @Test func fixedTruncated() {
    let fault = Fault(.truncated, record: 2, offset: 10, expected: 5, found: 3)
    expectRecords(
      FixedFramer(size: 5), text("abcdeABCDE123"), ["abcde", "ABCDE"].map(text), faults: [fault])
    expectRecords(
      FixedFramer(size: 5), text("abcdeABCDE123"), ["abcde", "ABCDE"].map(text), faults: [fault],
      end: .failed(104))
    // Who stops the run knows that streams end anywhere.
    expectRecords(
      FixedFramer(size: 5), text("abcdeABCDE123"), ["abcde", "ABCDE"].map(text), end: .stopped)
  }
}

@Suite struct LinesTests {
  @Test func lines() {
    expectRecords(
      LinesFramer(), text("one\n\ntwo\r\nthree\n"), ["one", "", "two\r", "three"].map(text))
    expectRecords(LinesFramer(), text("\n"), [[]])
    expectRecords(LinesFramer(), [], [])
  }

  @Test func lastLineWithoutNewlineIsARecord() {
    expectRecords(LinesFramer(), text("one\ntwo"), ["one", "two"].map(text))
    expectRecords(LinesFramer(), text("x"), [text("x")])
  }

  @Test func lastLineAfterAResetIsTruncated() {
    expectRecords(
      LinesFramer(), text("one\ntwo"), [text("one")],
      faults: [Fault(.truncated, record: 1, offset: 4, expected: 4, found: 3)],
      end: .failed(104))
    expectRecords(LinesFramer(), text("one\ntwo"), [text("one")], end: .stopped)
  }

  @Test func bound() {
    expectRecords(LinesFramer(max: 3), text("abc\nde\n"), ["abc", "de"].map(text))
    expectRecords(
      LinesFramer(max: 3), text("ab\nabcd\nx\n"), [text("ab")],
      faults: [Fault(.lineTooLong, record: 1, offset: 3, expected: 3, found: 4)], refused: true)
  }
}

@Suite struct LengthTests {
  struct Shape: Sendable, CustomTestStringConvertible {
    var bytes: Int
    var endian: LengthFramer.Endian
    var counted: Bool
    var testDescription: String { "\(bytes) \(endian) \(counted ? "counted" : "not counted")" }
    var framer: LengthFramer {
      LengthFramer(bytes: bytes, endian: endian, counted: counted, max: 200)
    }

    func prefix(_ value: UInt64) -> [UInt8] {
      let little = (0..<bytes).map { UInt8(truncatingIfNeeded: value >> UInt64($0 * 8)) }
      return endian == .little ? little : little.reversed()
    }

    func record(_ payload: [UInt8]) -> [UInt8] {
      prefix(UInt64(payload.count + (counted ? bytes : 0))) + payload
    }

    static let every: [Shape] = [1, 2, 4, 8].flatMap { bytes in
      LengthFramer.Endian.allCases.flatMap { endian in
        [false, true].map { Shape(bytes: bytes, endian: endian, counted: $0) }
      }
    }
  }

  @Test(arguments: Shape.every)
  func records(_ shape: Shape) {
    let payloads = ["first", "", "0123456789abcdef", "", "", "z"].map(text)
    expectRecords(shape.framer, payloads.flatMap(shape.record), payloads)
  }

  @Test(arguments: Shape.every)
  func boundIsInclusive(_ shape: Shape) {
    let payload = [UInt8](repeating: 9, count: 200)
    expectRecords(shape.framer, shape.record(payload), [payload])
    let own = shape.counted ? UInt64(shape.bytes) : 0
    let stream = shape.record(text("ok")) + shape.prefix(201 + own) + payload
    expectRecords(
      shape.framer, stream, [text("ok")],
      faults: [
        Fault(
          .recordTooLong, record: 1, offset: UInt64(shape.bytes + 2), expected: 200, found: 201)
      ], refused: true)
  }

  @Test(arguments: Shape.every)
  func truncated(_ shape: Shape) {
    let good = shape.record(text("ok"))
    let bad = shape.record(text("truncated"))
    for cut in 1..<bad.count {
      let announced = cut < shape.bytes ? shape.bytes : bad.count
      expectRecords(
        shape.framer, good + bad[..<cut], [text("ok")],
        faults: [
          Fault(
            .truncated, record: 1, offset: UInt64(good.count), expected: UInt64(announced),
            found: UInt64(cut))
        ])
    }
  }

  @Test func prefixSmallerThanItself() {
    let shape = Shape(bytes: 4, endian: .big, counted: true)
    expectRecords(
      shape.framer, shape.record(text("a")) + [0, 0, 0, 3, 1, 1, 1, 1, 1], [text("a")],
      faults: [Fault(.recordTooShort, record: 1, offset: 5, expected: 4, found: 3)],
      refused: true)
  }

  /// The longest length there is must not wrap around to a short one.
  @Test func hugeLengths() {
    for counted in [false, true] {
      let framer = LengthFramer(bytes: 8, endian: .little, counted: counted)
      let found = counted ? UInt64.max - 8 : .max
      expectRecords(
        framer, [UInt8](repeating: 0xff, count: 12), [],
        faults: [
          Fault(.recordTooLong, record: 0, offset: 0, expected: 16 << 20, found: found)
        ], refused: true)
    }
  }
}

/// Records and their sizes drawn from seeds, cut at seeded places.
@Suite struct RandomSplitTests {
  @Test(arguments: 0..<40)
  func recordsDoNotDependOnTheCuts(_ seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let payloads: [[UInt8]] = (0..<30).map { _ in random.bytes(random.logUniform(upTo: 3000) - 1) }
    let shape = LengthTests.Shape(bytes: 2, endian: .little, counted: true)
    let framer = LengthFramer(bytes: 2, endian: .little, counted: true)
    let lines: [[UInt8]] = payloads.map { $0.map { $0 == 10 ? 11 : $0 } }
    for _ in 0..<4 {
      let stream = payloads.flatMap(shape.record)
      let cut = random.split(stream.count, most: 5000)
      let outcome = drive(framer, NoChecksum(), stream, parts: cut)
      #expect(outcome.records == payloads)
      #expect(outcome.faults == [] && outcome.complaints == [])
      let text = lines.reduce(into: [UInt8]()) { $0 += $1 + [10] }
      let other = drive(
        LinesFramer(), NoChecksum(), text, parts: random.split(text.count, most: 5000))
      #expect(other.records == lines)
      #expect(other.faults == [] && other.complaints == [])
    }
  }
}
