import IngestTestSupport

@testable import NICControl

/// What can happen to a message on the way, and what a kernel that lies could send: cut off, bits
/// flipped, lengths and numbers at their limits, pieces taken out, repeated, nested once more, or
/// those of another message.
///
/// The same seed gives the same messages.
struct Mutations: Sequence, IteratorProtocol {
  private let samples: [[UInt8]]
  private var generator: SeededGenerator
  private var left: Int

  /// - Parameter samples: messages that are whole; each result is made of one or two of them.
  init(of samples: [[UInt8]], seed: UInt64, count: Int) {
    self.samples = samples
    generator = SeededGenerator(seed: seed)
    left = count
  }

  mutating func next() -> [UInt8]? {
    guard left > 0, !samples.isEmpty else { return nil }
    left -= 1
    var bytes = samples[below(samples.count)]
    for _ in 0...below(3) { change(&bytes) }
    return bytes
  }

  /// Less even than `Int.random(in:using:)` by less than one in 2^40, and many times as fast in
  /// debug builds.
  private mutating func below(_ limit: Int) -> Int {
    Int(truncatingIfNeeded: generator.next() >> 1) % limit
  }

  private mutating func change(_ bytes: inout [UInt8]) {
    guard !bytes.isEmpty else { return }
    let at = below(bytes.count)
    let word = at & ~3
    switch below(10) {
    case 0: bytes.removeSubrange(at...)
    case 1, 2: bytes[at] ^= 1 << UInt8(below(8))
    case 3: bytes[word] = UInt8(truncatingIfNeeded: generator.next())
    case 4: put(length(left: bytes.count - word), at: word, of: &bytes, size: 2)
    case 5:
      let limits: [UInt64] = [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 7]
      put(limits[below(limits.count)], at: word, of: &bytes, size: 4)
    case 6: bytes.removeSubrange(word..<Swift.min(word + 4 + 4 * below(4), bytes.count))
    case 7: bytes.insert(contentsOf: bytes[word...], at: word)
    case 8:
      let other = samples[below(samples.count)]
      bytes.replaceSubrange(word..., with: other.dropFirst(below(other.count + 1) & ~3))
    default:
      let rest = UInt16(truncatingIfNeeded: bytes.count - word + 4)
      let number = UInt16(below(12)) | AttributeWriter.nestedFlag
      bytes.insert(
        contentsOf: littleEndianBytes(of: rest) + littleEndianBytes(of: number), at: word)
    }
  }

  /// A length at the edge of being right, or far from it.
  private mutating func length(left: Int) -> UInt64 {
    let lengths = [0, 3, 4, 5, 8, left - 1, left, left + 1, 0x7fff, 0xffff]
    return UInt64(truncatingIfNeeded: lengths[below(lengths.count)])
  }

  private func put(_ value: UInt64, at start: Int, of bytes: inout [UInt8], size: Int) {
    for offset in 0..<size where start + offset < bytes.count {
      bytes[start + offset] = UInt8(truncatingIfNeeded: value >> UInt64(offset * 8))
    }
  }
}

extension MessageDecoder {
  /// Counts of what it made of mutated messages, and the first one of which it made something
  /// wrong.
  struct Report {
    var read = 0
    var refused = 0
    var finding: String?
  }

  func report(seed: UInt64, count: Int) -> Report {
    var report = Report()
    for bytes in Mutations(of: samples, seed: seed, count: count) {
      switch outcome(bytes) {
      case .read: report.read += 1
      case .refused: report.refused += 1
      case .wrong(let what):
        report.finding = report.finding ?? "\(name), seed \(seed), \(bytes): \(what)"
      }
    }
    return report
  }
}
