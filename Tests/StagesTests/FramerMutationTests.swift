import IngestTestSupport
import RingCore
import Stages
import Testing

/// A million inputs that nobody thought of: whatever comes, a framer says what it is, advances, and
/// stays within its bounds. An arithmetic overflow or a read outside a lease ends the test process.
@Suite struct FramerMutationTests {
  /// Inputs to each of the two framers.
  static let inputs = 500_000

  /// Runs one input, cut at a seeded place, through a framer; what it promised and did not keep.
  private static func run<F: Framer>(
    _ framer: F, _ input: [UInt8], cut: Int, bound: Int
  ) -> String? {
    var state = framer.start()
    var inside = false
    var inRecord = 0
    for range in [0..<cut, cut..<input.count] where !range.isEmpty {
      let lease = unsafe input.span.bytes.extracting(range)
      var cursor = 0
      while cursor < lease.byteCount {
        let piece: Piece
        switch framer.next(&state, lease, at: cursor) {
        case .piece(let found), .flawed(let found, _): piece = found
        case .fault(let flaw):
          return flaw.place <= inRecord + lease.byteCount ? nil : "place \(flaw.place)"
        }
        let count = Int(piece.count)
        guard count > 0, count <= lease.byteCount - cursor else { return "\(piece)" }
        guard piece.first != inside else { return "first is \(piece.first)" }
        inside = !piece.last
        inRecord += count
        guard inRecord <= bound else { return "a record of \(inRecord) bytes" }
        if piece.last { inRecord = 0 }
        cursor += count
      }
    }
    if case .truncated(let expected, let found) = framer.end(state) {
      guard found < expected, found == inRecord else {
        return "\(found) of \(expected) bytes, but \(inRecord) came"
      }
    }
    return nil
  }

  /// One more input out of the last: bytes changed, added, removed, repeated, words of the format
  /// put in. Every few hundred a new start, so that inputs do not only grow stranger.
  private static func mutate(
    _ input: inout [UInt8], _ words: [[UInt8]], _ generator: inout SeededGenerator
  ) {
    let choice = generator.next()
    let place = input.isEmpty ? 0 : Int(choice >> 8) % input.count
    switch choice & 7 {
    case 0 where !input.isEmpty: input[place] = UInt8(truncatingIfNeeded: choice >> 40)
    case 1 where !input.isEmpty: input[place] ^= 1 << UInt8(choice >> 40 & 7)
    case 2 where !input.isEmpty: input.remove(at: place)
    case 3 where input.count > 8: input.removeSubrange(place..<min(place + 5, input.count))
    case 4: input.insert(UInt8(truncatingIfNeeded: choice >> 40), at: place)
    case 5 where !input.isEmpty: input += input[place..<min(place + 6, input.count)]
    default: input.insert(contentsOf: words[Int(choice >> 40) % words.count], at: place)
    }
    if input.count > 96 { input.removeFirst(48) }
  }

  private static func run<F: Framer>(
    _ framers: [F], starts: [[UInt8]], words: [[UInt8]], bound: (F) -> Int
  ) {
    var generator = SeededGenerator(seed: 77)
    var input = starts[0]
    for number in 0..<inputs {
      if number % 200 == 0 { input = starts[number / 200 % starts.count] }
      mutate(&input, words, &generator)
      let framer = framers[number % framers.count]
      let cut = Int(generator.next() % UInt64(input.count + 1))
      if let said = run(framer, input, cut: cut, bound: bound(framer)) {
        Issue.record("input \(number), \(framer): \(input) cut at \(cut): \(said)")
        return
      }
    }
  }

  @Test func headers() {
    var framers: [HeaderFramer] = []
    for bytes in [1, 2, 3, 4, 8] {
      for plus in [0, -9, 3] {
        framers.append(
          HeaderFramer(
            size: 10, length: .init(at: 10 - bytes, bytes: bytes, endian: .little, plus: plus),
            trailer: bytes % 3, max: 1 << 40, headMax: plus == 3 ? 12 : 0))
        framers.append(
          HeaderFramer(
            size: bytes + 2, length: .init(at: 0, bytes: bytes, plus: plus),
            magic: .init(at: bytes, [0, 1]), max: 30))
      }
    }
    let starts: [[UInt8]] = [
      [0, 0, 0, 2, 0, 1, 7, 7], [2, 0, 1, 7, 7, 0, 0, 1], [10] + [UInt8](repeating: 0, count: 30),
    ]
    let words: [[UInt8]] = [
      [0, 0, 0], [0, 1], [255, 255, 255, 255, 255, 255, 255, 255], [127, 255], [128], [13, 10],
    ]
    Self.run(framers, starts: starts, words: words, bound: { $0.recordBound })
  }

  @Test func chunks() {
    let framers = [
      ChunkedFramer(max: 1 << 40, lineMax: 40, trailersMax: 20),
      ChunkedFramer(max: 20, lineMax: 8, trailersMax: 6, headMax: 20),
      ChunkedFramer(max: 300, lineMax: 3, trailersMax: 2, headMax: 4, heads: .message),
    ]
    let starts = [
      "5\r\nhello\r\n0\r\n\r\n", "A: b\r\n\r\n3;x=y\r\nabc\r\n0\r\nC: d\r\n\r\n", "\r\n1\r\nx\r\n",
    ].map { Array($0.utf8) }
    let words = ["\r\n", "0\r\n\r\n", ";", "ffffffff", "10000000000", " ", "2\r\nab\r\n", "\n\n"]
      .map { Array($0.utf8) }
    Self.run(framers, starts: starts, words: words, bound: { $0.recordBound })
  }
}
