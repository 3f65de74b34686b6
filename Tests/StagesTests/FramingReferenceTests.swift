import IngestTestSupport
import RingCore
import Stages
import Testing

/// Streams as senders write them and as nobody should, 20,000 of them, against a slow parser.
@Suite struct FramingReferenceTests {
  static let streams = 10_000

  /// Spoils a stream in up to three places, or leaves it.
  private static func damage(_ stream: inout [UInt8], _ generator: inout SeededGenerator) {
    for _ in 0..<max(0, Int.random(in: -3...3, using: &generator)) where !stream.isEmpty {
      let place = Int.random(in: 0..<stream.count, using: &generator)
      switch Int.random(in: 0..<5, using: &generator) {
      case 0: stream[place] = UInt8.random(in: 0...255, using: &generator)
      case 1: stream.remove(at: place)
      case 2: stream.insert(Array("\r\n0;f ".utf8).randomElement(using: &generator)!, at: place)
      case 3: stream.removeSubrange(place...)
      default: stream[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
      }
    }
  }

  private static func head(_ generator: inout SeededGenerator) -> [UInt8] {
    let lines = ["HTTP/1.1 200 OK", "A: b", "x", "\r", " "]
    var head = ""
    for _ in 0..<Int.random(in: 0...3, using: &generator) {
      head += lines.randomElement(using: &generator)!
      head += Bool.random(using: &generator) ? "\r\n" : "\n"
    }
    return text(head + (Bool.random(using: &generator) ? "\r\n" : "\n"))
  }

  private static func header(
    _ generator: inout SeededGenerator
  ) -> (framer: HeaderFramer, stream: [UInt8]) {
    let bytes = [1, 2, 3, 4, 8].randomElement(using: &generator)!
    let magic = generator.bytes(Int.random(in: 0...8, using: &generator))
    let size = bytes + magic.count + Int.random(in: 0...5, using: &generator)
    let magicFirst = Bool.random(using: &generator)
    let lengthAt = magicFirst ? size - bytes : 0
    let endian = LengthFramer.Endian.allCases.randomElement(using: &generator)!
    let plus = Int.random(in: -12...6, using: &generator)
    let framer = HeaderFramer(
      size: size, length: .init(at: lengthAt, bytes: bytes, endian: endian, plus: plus),
      magic: .init(at: magicFirst ? 0 : size - magic.count, magic),
      trailer: Int.random(in: 0...3, using: &generator), max: 60,
      headMax: Bool.random(using: &generator) ? 40 : 0)
    var stream = framer.headMax > 0 ? head(&generator) : []
    for _ in 0..<Int.random(in: 0...6, using: &generator) {
      let payload = generator.bytes(
        max(plus, Int.random(in: 0...62, using: &generator) / 2 * 2))
      var header = generator.bytes(size)
      let value = UInt64(payload.count - plus)
      for place in 0..<bytes {
        let shift = UInt64(8 * (endian == .little ? place : bytes - 1 - place))
        header[lengthAt + place] = UInt8(truncatingIfNeeded: value >> shift)
      }
      header.replaceSubrange(framer.magic.at..<framer.magic.at + magic.count, with: magic)
      stream += header + payload + generator.bytes(framer.trailer)
    }
    damage(&stream, &generator)
    return (framer, stream)
  }

  private static func chunks(
    _ generator: inout SeededGenerator
  ) -> (framer: ChunkedFramer, stream: [UInt8]) {
    let framer = ChunkedFramer(
      max: 40, lineMax: 16, trailersMax: 24, headMax: Bool.random(using: &generator) ? 40 : 0,
      heads: Bool.random(using: &generator) ? .message : .connection)
    var stream = framer.headMax > 0 ? head(&generator) : []
    for _ in 0..<Int.random(in: 0...6, using: &generator) {
      let size = max(0, Int.random(in: -8...41, using: &generator))
      let digits = String(size, radix: 16, uppercase: Bool.random(using: &generator))
      let zeros = String(repeating: "0", count: Int.random(in: 0...2, using: &generator))
      let more = ["", "", "", ";a", " ;b=\"c\"", "\t", ";0123456789abcd"]
      stream += text(zeros + digits + more.randomElement(using: &generator)! + "\r\n")
      if size > 0 { stream += generator.bytes(size) }
      if size == 0, Bool.random(using: &generator) { stream += text("T: u\r\n") }
      stream += text("\r\n")
      if size == 0, framer.heads == .message, framer.headMax > 0 { stream += head(&generator) }
    }
    damage(&stream, &generator)
    return (framer, stream)
  }

  /// What came out wrong for one way to cut the stream, nil when nothing did.
  private static func difference<F: Framer>(
    _ framer: F, _ stream: [UInt8], _ parts: [Int], _ reference: FramingReference
  ) -> String? {
    let outcome = drive(framer, NoChecksum(), stream, parts: parts)
    let fits =
      outcome.records == reference.records && outcome.refused == reference.refused
      && outcome.faults == (reference.fault.map { [$0] } ?? []) && outcome.complaints.isEmpty
    return fits ? nil : "\(framer) on \(stream) cut into \(parts): \(outcome), not \(reference)"
  }

  private static func ways(_ count: Int, _ generator: inout SeededGenerator) -> [[Int]] {
    guard count > 0 else { return [[]] }
    let most = max(1, count / Int.random(in: 1...8, using: &generator))
    return [
      [count], [Int](repeating: 1, count: count), generator.split(count, most: most),
    ]
  }

  @Test func headers() {
    var faults: Set<UInt8> = []
    for seed in 0..<UInt64(Self.streams) {
      var generator = SeededGenerator(seed: seed)
      let (framer, stream) = Self.header(&generator)
      let reference = FramingReference.header(framer, stream)
      if let fault = reference.fault { faults.insert(fault.kind.rawValue) }
      for parts in Self.ways(stream.count, &generator) {
        if let said = Self.difference(framer, stream, parts, reference) {
          Issue.record("seed \(seed): \(said)")
          return
        }
      }
    }
    // The streams must reach what there is to reach.
    let kinds: [Fault.Kind] = [
      .unexpectedByte, .recordTooLong, .recordTooShort, .noEmptyLine, .truncated,
    ]
    #expect(faults == Set(kinds.map(\.rawValue)))
  }

  @Test func chunked() {
    var faults: Set<UInt8> = []
    for seed in 0..<UInt64(Self.streams) {
      var generator = SeededGenerator(seed: seed)
      let (framer, stream) = Self.chunks(&generator)
      let reference = FramingReference.chunked(framer, stream)
      if let fault = reference.fault { faults.insert(fault.kind.rawValue) }
      for parts in Self.ways(stream.count, &generator) {
        if let said = Self.difference(framer, stream, parts, reference) {
          Issue.record("seed \(seed): \(said)")
          return
        }
      }
    }
    let kinds: [Fault.Kind] = [
      .unexpectedByte, .recordTooLong, .chunkSize, .lineTooLong, .noEmptyLine, .truncated,
    ]
    #expect(faults == Set(kinds.map(\.rawValue)))
  }
}
