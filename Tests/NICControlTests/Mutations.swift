import IngestTestSupport

/// What can happen to a message on the way: cut off, bits flipped, lengths that lie, bytes of
/// another message.
struct Mutations: Sequence, IteratorProtocol {
  private let whole: [UInt8]
  private var generator: SeededGenerator
  private var left: Int

  init(of whole: [UInt8], seed: UInt64, count: Int = 400) {
    self.whole = whole
    generator = SeededGenerator(seed: seed)
    left = count
  }

  mutating func next() -> [UInt8]? {
    guard left > 0 else { return nil }
    left -= 1
    var bytes = whole
    for _ in 0..<Int.random(in: 1...3, using: &generator) {
      guard !bytes.isEmpty else { return bytes }
      let at = Int.random(in: 0..<bytes.count, using: &generator)
      switch Int.random(in: 0..<4, using: &generator) {
      case 0: bytes = Array(bytes[..<at])
      case 1: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
      case 2: bytes[at & ~3] = UInt8.random(in: 0...255, using: &generator)
      default: bytes.insert(contentsOf: whole.dropFirst(at), at: at)
      }
    }
    return bytes
  }
}

/// Sums what a decoder made of mutated messages, so that the work is not for nothing: a message
/// that is whole must be read, and some of the mutated ones must be refused.
struct MutationCount {
  var read = 0
  var refused = 0
}

func decodeMutations<Value>(
  of whole: [UInt8], seed: UInt64, _ decode: ([UInt8]) throws -> Value
) throws -> MutationCount {
  _ = try decode(whole)
  var count = MutationCount()
  for bytes in Mutations(of: whole, seed: seed) {
    do {
      _ = try decode(bytes)
      count.read += 1
    } catch {
      count.refused += 1
    }
  }
  return count
}
