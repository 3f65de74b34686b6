import IngestTestSupport
import RingCore
import Stages
import Testing

@Suite struct ChunkedFramerTests {
  private static let framer = ChunkedFramer(max: 100, lineMax: 24, trailersMax: 16)

  @Test func chunks() {
    let stream = text("5\r\nhello\r\n1\r\n\n\r\n0\r\n\r\n")
    expectRecords(Self.framer, stream, [text("hello"), [10], []])
    expectRecords(Self.framer, [], [])
    // Another message without a head follows.
    expectRecords(
      Self.framer, stream + stream,
      [text("hello"), [10], [], text("hello"), [10], []])
  }

  @Test func linesAsTheyMayBe() {
    for line in ["2", "02", "000002", "2;a", "2;a=b;c=\"d;e\"", "2 ", "2\t ;x", "2;"] {
      expectRecords(
        Self.framer, text(line + "\r\nok\r\n0\r\n\r\n"), [text("ok"), []])
    }
    expectRecords(
      Self.framer, text("1A\r\n" + String(repeating: "x", count: 26) + "\r\n00;last\r\n\r\n"),
      [[UInt8](repeating: 120, count: 26), []])
  }

  @Test func trailers() {
    expectRecords(Self.framer, text("1\r\nx\r\n0\r\nA: b\r\nC:\r\n\r\n"), [text("x"), []])
    expectRecords(
      Self.framer, text("1\r\nx\r\n0\r\n0123456789abcdefg\r\n\r\n"), [text("x")],
      faults: [Fault(.noEmptyLine, record: 1, offset: 25, expected: 16, found: 17)],
      refused: true)
  }

  @Test func headsOnceOrBeforeEachMessage() {
    let head = text("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    let body = text("2\r\nok\r\n0\r\n\r\n")
    let once = ChunkedFramer(headMax: 100)
    expectRecords(once, head + body + body, [text("ok"), [], text("ok"), []])
    let each = ChunkedFramer(headMax: 100, heads: .message)
    expectRecords(each, head + body + head + body, [text("ok"), [], text("ok"), []])
    expectRecords(
      once, head + body + head, [text("ok"), []],
      faults: [
        Fault(
          .chunkSize, record: 2, offset: UInt64(head.count + body.count), expected: 0, found: 72)
      ], refused: true)
  }

  /// Stream, records before it, and what is wrong where.
  @Test(arguments: [
    ("5\r\nhello\n", Fault(.unexpectedByte, record: 0, offset: 8, expected: 13, found: 10)),
    ("5\r\nhello\rx", Fault(.unexpectedByte, record: 0, offset: 9, expected: 10, found: 120)),
    ("5\nhello", Fault(.chunkSize, record: 0, offset: 1, expected: 0, found: 10)),
    ("5\rhello", Fault(.unexpectedByte, record: 0, offset: 2, expected: 10, found: 104)),
    ("5;a\nhello", Fault(.unexpectedByte, record: 0, offset: 3, expected: 13, found: 10)),
    ("\r\n", Fault(.chunkSize, record: 0, offset: 0, expected: 0, found: 13)),
    ("-1\r\n", Fault(.chunkSize, record: 0, offset: 0, expected: 0, found: 45)),
    ("0x5\r\n", Fault(.chunkSize, record: 0, offset: 1, expected: 0, found: 120)),
    ("5 5\r\n", Fault(.chunkSize, record: 0, offset: 2, expected: 0, found: 53)),
    ("65\r\n", Fault(.recordTooLong, record: 0, offset: 0, expected: 100, found: 101)),
    (
      "00000000000000000000000000",
      Fault(.lineTooLong, record: 0, offset: 24, expected: 24, found: 25)
    ),
    (
      "fffffffffffffffff\r\n",
      Fault(.recordTooLong, record: 0, offset: 0, expected: 100, found: .max)
    ),
    (
      "10000000000000000\r\n",
      Fault(.recordTooLong, record: 0, offset: 0, expected: 100, found: .max)
    ),
  ])
  func refuses(_ stream: String, _ fault: Fault) {
    expectRecords(Self.framer, text(stream), [], faults: [fault], refused: true)
    var later = fault
    later.record = 1
    later.offset += 6
    expectRecords(
      Self.framer, text("1\r\nx\r\n" + stream), [text("x")], faults: [later], refused: true)
  }

  @Test func aMessageThatIsNotCompleteIsTold() {
    let stream = text("1\r\nx\r\n3;a\r\nyyy\r\n0\r\nA:\r\n\r\n")
    for cut in 1..<stream.count {
      let records = [text("x"), text("yyy")].prefix(cut < 6 ? 0 : cut < 16 ? 1 : 2)
      let start = cut < 6 ? 0 : cut < 16 ? 6 : 16
      let seen = UInt64(cut - start)
      let expected =
        switch cut {
        case 3..<6: 6
        case 6, 16: 5
        case 11..<16: 10
        default: seen + 1
        } as UInt64
      expectRecords(
        Self.framer, Array(stream[..<cut]), Array(records),
        faults: [
          Fault(
            .truncated, record: UInt64(records.count), offset: UInt64(start),
            expected: expected, found: seen)
        ])
    }
  }
}
