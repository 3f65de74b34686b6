import Stages
import Wire
import ZeroCopy

/// Bytes for the connections of a replay, made up by a seed in the shape that the chain parses:
/// payload is never recorded.
final class ReplayPayload {
  private let shape: Shape
  private let seed: UInt64
  private let kind: ChecksumKind
  private var streams: [Int: Stream] = [:]

  private enum Shape {
    case bytes
    case lines(longest: Int)
    case length(LengthFramer)
    case wire
  }

  /// Why stages see other records than those of then; nil where they are alike in kind.
  let remark: String?

  init(_ chain: ChainSpecification, seed: UInt64) {
    self.seed = seed
    kind = if case .verify(let kind) = chain.checksum { kind } else { .crc32c }
    var remark: String?
    switch chain.parse {
    case .raw, .fixed: shape = .bytes
    case .lines(let framer): shape = .lines(longest: min(framer.max, 200))
    case .length(let framer): shape = .length(framer)
    case .wire: shape = .wire
    case .described:
      shape = .bytes
      remark = "records of a described framing cannot be made up: take --parse raw"
    }
    self.remark = remark
  }

  /// Writes the next bytes of a connection.
  func fill(_ connection: Int, _ buffer: UnsafeMutableRawBufferPointer) {
    let stream = streams[connection] ?? Stream(seed &+ UInt64(connection) &* 0x9e37_79b9)
    streams[connection] = stream
    switch shape {
    case .bytes: unsafe stream.bytes(buffer)
    case .wire: unsafe stream.wire(buffer, connection, seed, kind)
    case .lines(let longest):
      unsafe stream.records(buffer) { random in
        let letters = (0..<Int.random(in: 0..<longest, using: &random)).map { _ in
          UInt8.random(in: 97...122, using: &random)
        }
        return letters + [10]
      }
    case .length(let framer):
      unsafe stream.records(buffer) { random in
        let most = min(framer.max, framer.bytes == 1 ? 200 : 2000)
        let count = Int.random(in: 0...most, using: &random)
        let value = UInt64(count + (framer.counted ? framer.bytes : 0))
        let prefix = (0..<framer.bytes).map { UInt8(truncatingIfNeeded: value >> UInt64($0 * 8)) }
        let payload = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        return (framer.endian == .little ? prefix : prefix.reversed()) + payload
      }
    }
  }

  /// What one connection has sent of the record at hand.
  private final class Stream {
    private var random: SplitMix64
    private var left: ArraySlice<UInt8> = []
    private var content: PackedContent?

    init(_ seed: UInt64) { random = SplitMix64(seed: seed) }

    func bytes(_ buffer: UnsafeMutableRawBufferPointer) {
      var at = 0
      while at < buffer.count {
        let count = min(8, buffer.count - at)
        unsafe withUnsafeBytes(of: random.next()) { word in
          for place in 0..<count { unsafe buffer[at + place] = word[place] }
        }
        at += count
      }
    }

    func records(
      _ buffer: UnsafeMutableRawBufferPointer, next: (inout SplitMix64) -> [UInt8]
    ) {
      var at = 0
      while at < buffer.count {
        while left.isEmpty { left = next(&random)[...] }
        let part = left.prefix(buffer.count - at)
        unsafe part.withUnsafeBytes { bytes in
          // No longer than the rest of the buffer.
          unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[at...]).copyMemory(from: bytes)
        }
        left = left.dropFirst(part.count)
        at += part.count
      }
    }

    func wire(
      _ buffer: UnsafeMutableRawBufferPointer, _ connection: Int, _ seed: UInt64,
      _ kind: ChecksumKind
    ) {
      var content =
        content.take()
        ?? PackedContent(
          seed: seed, kind: kind, sizes: 1...16384, whole: false, streams: [connection],
          budget: .unlimited)
      _ = unsafe content.fill(stream: 0, finishing: false, into: buffer)
      self.content = consume content
    }
  }
}
