import Glibc
import JSON5
import RingCore
import Wire

@testable import References
@testable import Stages

extension Outcome {
  /// As a reference found it.
  func expect(_ records: [ArraySlice<UInt8>], _ fault: Fault?, refused: Bool, _ what: String) {
    var start = 0
    require(ends.count == records.count, "\(what): \(records.count) records, found \(self)")
    for (end, record) in zip(ends, records) {
      require(payload[start..<end] == record, "\(what): record \(record), found \(self)")
      start = end
    }
    require(faults == [fault].compactMap(\.self), "\(what): \(String(describing: fault)): \(self)")
    require(self.refused == refused, "\(what): refused is \(refused): \(self)")
  }
}

/// Records of simple framings, found over all of the stream at once.
private struct Simple {
  var records: [ArraySlice<UInt8>] = []
  var fault: Fault?
  var refused = false

  mutating func stop(_ kind: Fault.Kind, at offset: Int, expected: UInt64, found: UInt64) {
    refused = kind != .truncated
    fault = Fault(
      kind, record: UInt64(records.count), offset: UInt64(offset), expected: expected, found: found)
    fault?.connection = 7
  }

  static func lines(_ framer: LinesFramer, _ stream: [UInt8]) -> Simple {
    var simple = Simple()
    var at = 0
    while at < stream.count {
      let end = stream[at...].firstIndex(of: 10) ?? stream.count
      guard end - at <= framer.max else {
        let max = UInt64(framer.max)
        simple.stop(.lineTooLong, at: at, expected: max, found: max + 1)
        break
      }
      simple.records.append(stream[at..<end])
      at = end + 1
    }
    return simple
  }

  static func fixed(_ framer: FixedFramer, _ stream: [UInt8]) -> Simple {
    var simple = Simple()
    var at = 0
    while stream.count - at >= framer.size {
      simple.records.append(stream[at..<at + framer.size])
      at += framer.size
    }
    if at < stream.count {
      simple.stop(
        .truncated, at: at, expected: UInt64(framer.size), found: UInt64(stream.count - at))
    }
    return simple
  }

  static func length(_ framer: LengthFramer, _ stream: [UInt8]) -> Simple {
    var simple = Simple()
    var at = 0
    while at < stream.count {
      let left = UInt64(stream.count - at)
      let prefix = stream[at...].prefix(framer.bytes)
      guard prefix.count == framer.bytes else {
        simple.stop(.truncated, at: at, expected: UInt64(framer.bytes), found: left)
        break
      }
      let digits = framer.endian == .big ? Array(prefix) : prefix.reversed()
      let value = digits.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      let own = framer.counted ? UInt64(framer.bytes) : 0
      guard value >= own else {
        simple.stop(.recordTooShort, at: at, expected: own, found: value)
        break
      }
      guard value - own <= UInt64(framer.max) else {
        simple.stop(.recordTooLong, at: at, expected: UInt64(framer.max), found: value - own)
        break
      }
      let whole = UInt64(framer.bytes) + value - own
      guard whole <= left else {
        simple.stop(.truncated, at: at, expected: whole, found: left)
        break
      }
      simple.records.append(stream[at + framer.bytes..<at + Int(whole)])
      at += Int(whole)
    }
    return simple
  }
}

extension Target {
  static let records = Target(
    "records", "lines, length-prefixed and fixed records, raw streams", longest: 256
  ) { bytes in
    var input = Input(bytes)
    let kind = input.byte()
    let end = streamEnd(&input)
    switch kind & 3 {
    case 0:
      let framer = LinesFramer(max: input.bound(upTo: 1 << 62))
      simple(framer, &input, end) { Simple.lines(framer, $0) }
    case 1:
      let framer = LengthFramer(
        bytes: [1, 2, 4, 8][input.below(4)], endian: input.flag() ? .little : .big,
        counted: input.flag(), max: input.bound(upTo: 1 << 62))
      simple(framer, &input, end) { Simple.length(framer, $0) }
    case 2:
      let framer = FixedFramer(size: input.bound(upTo: 1 << 40))
      simple(framer, &input, end) { Simple.fixed(framer, $0) }
    default:
      let lengths = cuts(&input)
      compare(RawFramer(), { NoChecksum() }, input.rest, lengths, end)
    }
  }

  private static func simple<F: Framer>(
    _ framer: F, _ input: inout Input, _ end: StreamEnd, _ reference: ([UInt8]) -> Simple
  ) {
    let lengths = cuts(&input)
    let stream = input.rest
    let outcome = compare(framer, { NoChecksum() }, stream, lengths, end)
    guard end == .finished else { return }
    let wanted = reference(Array(stream))
    outcome.expect(wanted.records, wanted.fault, refused: wanted.refused, "\(framer)")
  }

  static let header = Target(
    "header", "records behind a header of a fixed size, heads included", longest: 320
  ) { bytes in
    var input = Input(bytes)
    let end = streamEnd(&input)
    let size = input.bound(upTo: HeaderFramer.largestSize)
    let width = [1, 2, 3, 4, 8].filter { $0 <= size }
    let count = width[input.below(width.count)]
    let plus = input.byte() < 200 ? Int(Int8(bitPattern: input.byte())) : -Int(input.word())
    let field = HeaderFramer.Field(
      at: input.below(size - count + 1), bytes: count, endian: input.flag() ? .little : .big,
      plus: plus)
    let magic = input.bytes(input.below(min(size, 8) + 1))
    let framer = HeaderFramer(
      size: size, length: field,
      magic: HeaderFramer.Magic(at: input.below(size - magic.count + 1), magic),
      trailer: input.bound(upTo: HeaderFramer.largestSize, atLeast: 0),
      max: input.bound(upTo: 1 << 40),
      headMax: input.flag() ? input.bound(upTo: 1 << 30, atLeast: 2) : 0)
    headers(framer, &input, end)
  }

  private static func headers(_ framer: HeaderFramer, _ input: inout Input, _ end: StreamEnd) {
    let lengths = cuts(&input)
    let outcome = compare(framer, { NoChecksum() }, input.rest, lengths, end)
    guard end == .finished else { return }
    let wanted = FramingReference.header(framer, Array(input.rest))
    outcome.expect(
      wanted.records.map { $0[...] }, wanted.fault, refused: wanted.refused, "\(framer)")
  }

  static let chunked = Target("chunked", "HTTP/1.1's chunks, heads and trailers", longest: 320) {
    bytes in
    var input = Input(bytes)
    let end = streamEnd(&input)
    let framer = ChunkedFramer(
      max: input.bound(upTo: 1 << 40), lineMax: input.bound(upTo: 1 << 30, atLeast: 3),
      trailersMax: input.bound(upTo: 1 << 30, atLeast: 2),
      headMax: input.flag() ? input.bound(upTo: 1 << 30, atLeast: 2) : 0,
      heads: input.flag() ? .message : .connection)
    chunks(framer, &input, end)
  }

  private static func chunks(_ framer: ChunkedFramer, _ input: inout Input, _ end: StreamEnd) {
    let lengths = cuts(&input)
    let outcome = compare(framer, { NoChecksum() }, input.rest, lengths, end)
    guard end == .finished else { return }
    let wanted = FramingReference.chunked(framer, Array(input.rest))
    outcome.expect(
      wanted.records.map { $0[...] }, wanted.fault, refused: wanted.refused, "\(framer)")
  }

  static let described = Target(
    "described", "descriptions of framings, and streams framed as they say", longest: 1024
  ) { bytes in
    var input = Input(bytes)
    let text = input.text()
    let file: JSON5File
    do throws(JSON5Error) {
      file = try JSON5File(text: text, name: "file")
    } catch {
      return require(error.what.hasPrefix("file:"), "no place: \(error.what)")
    }
    let end = streamEnd(&input)
    do throws(SpecificationError) {
      let description = try FramingDescription(file, path: "file", text: "described:file")
      switch description.form {
      case .length(let framer): headers(framer, &input, end)
      case .chunked(let framer): chunks(framer, &input, end)
      }
    } catch {
      require(error.problem.hasPrefix("file:"), "no place: \(error)")
    }
  }
}
