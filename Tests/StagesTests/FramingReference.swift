import RingCore
import Stages

/// What a stream holds, found the slow way: over all of it at once, with searches where the
/// framers go byte by byte.
struct FramingReference {
  var records: [[UInt8]] = []
  /// The fault that ends the stream, or what is wrong with its end.
  var fault: Fault?
  var refused = false
  private let stream: [UInt8]
  private var at = 0
  private var start = 0

  private init(_ stream: [UInt8]) { self.stream = stream }

  private mutating func stop(
    _ kind: Fault.Kind, at offset: Int, expected: UInt64, found: UInt64
  ) {
    refused = kind != .truncated
    fault = Fault(
      kind, record: UInt64(records.count), offset: UInt64(offset), expected: expected,
      found: found)
    fault?.connection = 7
  }

  /// The stream ends inside the record at hand, of which at least `expected` bytes are due.
  private mutating func endsInside(_ expected: Int) {
    stop(
      .truncated, at: start, expected: UInt64(expected), found: UInt64(stream.count - start))
  }

  private mutating func close(_ payload: Range<Int>, end: Int) {
    records.append(Array(stream[payload]))
    at = end
    start = end
  }

  /// Steps over everything up to an empty line; false when the stream does not go on.
  private mutating func skipHead(_ bound: Int) -> Bool {
    // Lines end with a newline; one is empty that has nothing before it but a carriage return.
    var line = at
    while let newline = stream[line...].firstIndex(of: 10) {
      if stream[line..<newline].isEmpty || stream[line..<newline] == [13] {
        guard newline + 1 - at <= bound else { break }
        at = newline + 1
        return true
      }
      line = newline + 1
    }
    if stream.count - at > bound {
      stop(.noEmptyLine, at: at + bound, expected: UInt64(bound), found: UInt64(bound + 1))
    } else {
      endsInside(stream.count - start + 1)
    }
    return false
  }
}

// MARK: - Headers of a fixed size

extension FramingReference {
  static func header(_ framer: HeaderFramer, _ stream: [UInt8]) -> FramingReference {
    var reference = FramingReference(stream)
    if framer.headMax > 0, !stream.isEmpty, !reference.skipHead(framer.headMax) {
      return reference
    }
    while reference.at < stream.count, reference.headerRecord(framer) {}
    return reference
  }

  private mutating func headerRecord(_ framer: HeaderFramer) -> Bool {
    let magic = framer.magic
    for index in 0..<magic.bytes where at + magic.at + index < stream.count {
      let wanted = UInt8(truncatingIfNeeded: magic.word >> UInt64(8 * index))
      let place = at + magic.at + index
      if stream[place] != wanted {
        stop(
          .unexpectedByte, at: place, expected: UInt64(wanted), found: UInt64(stream[place]))
        return false
      }
    }
    guard at + framer.size <= stream.count else {
      endsInside(at + framer.size - start)
      return false
    }
    let field = Array(stream[at + framer.length.at..<at + framer.length.at + framer.length.bytes])
    let digits = framer.length.endian == .big ? field : field.reversed()
    let value = digits.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    let plus = framer.length.plus
    let place = at + framer.length.at
    if plus < 0, value < UInt64(-plus) {
      stop(.recordTooShort, at: place, expected: UInt64(-plus), found: value)
      return false
    }
    let length: UInt64
    if plus < 0 {
      length = value - UInt64(-plus)
    } else {
      length = value > .max - UInt64(plus) ? .max : value + UInt64(plus)
    }
    guard length <= UInt64(framer.max) else {
      stop(.recordTooLong, at: place, expected: UInt64(framer.max), found: length)
      return false
    }
    let payload = at + framer.size
    let end = payload + Int(length) + framer.trailer
    guard end <= stream.count else {
      endsInside(end - start)
      return false
    }
    close(payload..<payload + Int(length), end: end)
    return true
  }
}

// MARK: - Chunks

extension FramingReference {
  static func chunked(_ framer: ChunkedFramer, _ stream: [UInt8]) -> FramingReference {
    var reference = FramingReference(stream)
    var headIsDue = framer.headMax > 0
    var inMessage = false
    while reference.at < stream.count {
      if headIsDue {
        guard reference.skipHead(framer.headMax) else { return reference }
        headIsDue = false
      }
      guard let size = reference.sizeLine(framer.max, framer.lineMax) else { return reference }
      inMessage = size > 0
      if size > 0 {
        guard reference.chunk(size) else { return reference }
      } else {
        let empty = reference.at
        guard reference.skipHead(framer.trailersMax) else { return reference }
        reference.close(empty..<empty, end: reference.at)
        headIsDue = framer.headMax > 0 && framer.heads == .message
      }
    }
    if inMessage {
      reference.stop(.truncated, at: stream.count, expected: 5, found: 0)
    }
    return reference
  }

  /// The size that the line at hand says, nil when it is wrong or not complete.
  private mutating func sizeLine(_ max: Int, _ lineMax: Int) -> Int? {
    let line = stream[at..<min(at + lineMax, stream.count)]
    let digits = line.prefix { Character(Unicode.Scalar($0)).isHexDigit }
    let blanks = line[digits.endIndex...].prefix { $0 == 32 || $0 == 9 }
    guard let next = digits.isEmpty ? line.first : line[digits.endIndex...].first else {
      return lineGoesOn(lineMax)
    }
    guard !digits.isEmpty else { return notASize(next, at) }
    let size = FramingReference.value(digits)
    guard size <= UInt64(max) else {
      stop(.recordTooLong, at: at, expected: UInt64(max), found: size)
      return nil
    }
    guard let stopper = line[blanks.endIndex...].first else { return lineGoesOn(lineMax) }
    var end = blanks.endIndex
    if stopper == UInt8(ascii: ";") {
      guard let found = line[end...].firstIndex(where: { $0 == 13 || $0 == 10 }) else {
        return lineGoesOn(lineMax)
      }
      end = found
      if line[end] == 10 {
        stop(.unexpectedByte, at: end, expected: 13, found: 10)
        return nil
      }
    } else if stopper != 13 {
      return notASize(stopper, end)
    }
    guard end + 1 < line.endIndex else { return lineGoesOn(lineMax) }
    guard line[end + 1] == 10 else {
      stop(.unexpectedByte, at: end + 1, expected: 10, found: UInt64(line[end + 1]))
      return nil
    }
    at = end + 2
    return Int(size)
  }

  private mutating func notASize(_ byte: UInt8, _ place: Int) -> Int? {
    stop(.chunkSize, at: place, expected: 0, found: UInt64(byte))
    return nil
  }

  private mutating func lineGoesOn(_ lineMax: Int) -> Int? {
    if stream.count - at > lineMax {
      stop(
        .lineTooLong, at: at + lineMax, expected: UInt64(lineMax), found: UInt64(lineMax + 1))
    } else {
      endsInside(stream.count - start + 1)
    }
    return nil
  }

  /// Hexadecimal digits as a number; what has more than sixteen is as large as can be.
  private static func value(_ digits: ArraySlice<UInt8>) -> UInt64 {
    let text = String(decoding: digits.drop { $0 == 48 }, as: UTF8.self)
    if text.isEmpty { return 0 }
    return UInt64(text, radix: 16) ?? .max
  }

  private mutating func chunk(_ size: Int) -> Bool {
    let payload = at..<at + size
    for (place, wanted) in [(payload.upperBound, UInt8(13)), (payload.upperBound + 1, 10)] {
      guard place < stream.count else {
        endsInside(payload.upperBound + 2 - start)
        return false
      }
      guard stream[place] == wanted else {
        stop(
          .unexpectedByte, at: place, expected: UInt64(wanted), found: UInt64(stream[place]))
        return false
      }
    }
    close(payload, end: payload.upperBound + 2)
    return true
  }
}
