import CIngestKernel
import Glibc
import IngestTestSupport
import Testing

@testable import Stages

@Suite("bytes of many streams that wait in one file")
struct SpillBlocksTests {
  private static func blocks(_ limit: Int) throws -> SpillBlocks {
    var options = OverflowOptions()
    options.policy = .drop
    options.limit = limit
    return try SpillBlocks(options)
  }

  /// A socket whose other end takes little at a time.
  private final class Pair {
    let near: Int32
    let far: Int32
    var received: [UInt8] = []

    init() throws {
      var ends: [Int32] = [0, 0]
      try #require(unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
      (near, far) = (ends[0], ends[1])
      _ = fcntl(far, F_SETFL, O_NONBLOCK)
    }

    deinit {
      close(near)
      close(far)
    }

    func take(_ count: Int) {
      var buffer = [UInt8](repeating: 0, count: count)
      let got = unsafe read(far, &buffer, count)
      if got > 0 { received += buffer[..<got] }
    }
  }

  @Test(
    "each stream leaves whole and in order, less what was cut off",
    arguments: 1...40 as ClosedRange<UInt64>)
  func order(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let limit = [4096, 40_000, 1 << 20][Int(seed % 3)]
    var blocks = try Self.blocks(limit)
    let pool = random.bytes(70_000)
    var chains = [SpillBlocks.Chain](repeating: SpillBlocks.Chain(), count: 5)
    var wanted = [[UInt8]](repeating: [], count: 5)
    var left = [Int](repeating: 0, count: 5)
    let pairs = try (0..<5).map { _ in try Pair() }
    for step in 0..<600 {
      let index = Int.random(in: 0..<5, using: &random)
      switch Int.random(in: 0..<4, using: &random) {
      case 0,
        1 where step < 500:
        let count = random.logUniform(upTo: 65_536)
        let from = Int.random(in: 0...(pool.count - count), using: &random)
        let mustFollow = Int.random(in: 0..<4, using: &random) == 0
        let room = blocks.room(behind: chains[index])
        let put = unsafe pool.withUnsafeBytes {
          unsafe blocks.append(
            $0.baseAddress! + from, count, to: &chains[index], mustFollow: mustFollow)
        }
        #expect(put == count || put >= room)
        #expect(mustFollow || put == min(count, room))
        wanted[index] += pool[from..<from + put]
      case 2 where step < 500:
        let count = random.logUniform(upTo: 20_000)
        let cut = min(count, chains[index].count)
        blocks.cut(&chains[index], by: count)
        wanted[index].removeLast(cut)
      default:
        var sent = 0
        let code = blocks.drain(&chains[index], into: pairs[index].near, sent: &sent)
        #expect(code == 0 || code == EAGAIN)
        pairs[index].take(random.logUniform(upTo: 200_000))
        left[index] += sent
      }
      #expect(left[index] + chains[index].count == wanted[index].count)
    }
    for index in 0..<5 {
      repeat {
        var sent = 0
        _ = blocks.drain(&chains[index], into: pairs[index].near, sent: &sent)
        pairs[index].take(1 << 20)
      } while pairs[index].received.count < wanted[index].count
      #expect(pairs[index].received == wanted[index])
    }
    // All of it is free again.
    let (room, failure) = (blocks.room(behind: chains[0]), blocks.failure)
    #expect(room >= limit / 2 && failure == 0)
  }

  @Test("a stream that stands still leaves as much to others as it has")
  func shares() throws {
    var blocks = try Self.blocks(1 << 20)
    var chains = [SpillBlocks.Chain](repeating: SpillBlocks.Chain(), count: 3)
    let record = [UInt8](repeating: 7, count: 1000)
    for index in 0..<2 {
      while blocks.share(behind: chains[index]) >= record.count {
        let put = unsafe record.withUnsafeBytes {
          unsafe blocks.append($0.baseAddress!, $0.count, to: &chains[index], mustFollow: false)
        }
        #expect(put == record.count)
      }
    }
    // A half, a quarter, and what is left for whoever comes.
    let counts = chains.map(\.count)
    let third = blocks.share(behind: chains[2])
    #expect((500_000...540_000).contains(counts[0]), "\(counts)")
    #expect((240_000...280_000).contains(counts[1]), "\(counts)")
    #expect((200_000...280_000).contains(third), "\(third)")
  }
}
