import Stages
import Wire

/// Streams of records, one after the other with nothing between, for a parser of that kind.
enum Streams {
  /// At least `bytes` bytes; the last record may be cut off by whoever takes fewer.
  static func make(_ kind: String, payload: Int, bytes: Int) -> [UInt8]? {
    let filler = (0..<payload).map { UInt8(truncatingIfNeeded: 97 + $0 % 26) }
    let record: [UInt8]
    switch kind {
    case "raw", "fixed": record = filler
    case "lines": record = filler + [10]
    case "length": record = bigEndian(payload) + filler
    // As configs/kafka-like.json5 has it, with a magic of two bytes in front of the length.
    case "described": record = [0x4b, 0x41, 0, 0] + bigEndian(payload) + filler
    case "chunked": record = Array((String(payload, radix: 16) + "\r\n").utf8) + filler + [13, 10]
    case "wire": return wire(filler, .none, bytes)
    case "wire-crc32c": return wire(filler, .crc32c, bytes)
    case "wire-xxh3": return wire(filler, .xxh3, bytes)
    default: return nil
    }
    var stream: [UInt8] = []
    stream.reserveCapacity(bytes + record.count)
    while stream.count < bytes { stream += record }
    return stream
  }

  private static func bigEndian(_ number: Int) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - 8 * $0)) }
  }

  private static func wire(_ payload: [UInt8], _ kind: ChecksumKind, _ bytes: Int) -> [UInt8] {
    let digest = unsafe Digest.of(payload.span.bytes, kind)
    var stream: [UInt8] = []
    stream.reserveCapacity(bytes + payload.count + WireHeader.size)
    var sequence: UInt64 = 0
    var head = [UInt8](repeating: 0, count: WireHeader.size)
    while stream.count < bytes {
      let header = WireHeader(
        kind: kind, length: UInt32(payload.count), sequence: sequence, digest: digest)
      var room = head.mutableSpan
      var raw = unsafe room.mutableBytes
      header.encode(into: &raw)
      stream += head
      stream += payload
      sequence += 1
    }
    return stream
  }
}
