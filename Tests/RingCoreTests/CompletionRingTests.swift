import CIngestKernel
import IngestTestSupport
import RingCore
import Testing

@Suite struct CompletionRingTests {
  @Test func everyCompletionIsSeenOnceWhateverTheSizeAndTheStart() {
    withEvery("capacity", in: [8, 16, 128]) { (capacity: UInt32) in
      for start in [0, 5, UInt32.max - 3] {
        let queue = FakeCompletionQueue(capacity: capacity, start: start)
        var ring = queue.ring()
        var generator = SeededGenerator(seed: UInt64(capacity) + UInt64(start))
        var written: UInt64 = 0
        var read: UInt64 = 0
        while read < 2000 {
          for _ in 0..<Int.random(in: 0...20, using: &generator) {
            guard queue.post(tag: written, result: 1, flags: 0, offset: written << 12) else {
              try #require(queue.room == 0)
              break
            }
            written += 1
          }
          try #require(ring.available() == UInt32(written - read))
          let count = UInt32.random(in: 0...ring.available(), using: &generator)
          for index in 0..<count {
            let entry = unsafe ring.entry(index).pointee
            try #require(entry.user_data == read)
            try #require(entry.zcrx_offset == read << 12)
            read += 1
          }
          ring.advance(count)
        }
      }
    }
  }

  @Test func aSizeThatIsNoPowerOfTwoIsRefused() async {
    await #expect(processExitsWith: .failure) { _ = FakeCompletionQueue(capacity: 12).ring() }
  }
}
