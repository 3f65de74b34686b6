import CIngestKernel
import IngestTestSupport
import RingCore
import Testing

@Suite struct FlightRecorderTests {
  /// Cells and their count, as a mapping would have them.
  @safe
  private final class Memory {
    let cells: UnsafeMutablePointer<FlightEvent>
    let count = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
    let capacity: Int

    init(_ capacity: Int) {
      self.capacity = capacity
      unsafe cells = .allocate(capacity: capacity)
      unsafe cells.initialize(repeating: FlightEvent(.wait), count: capacity)
      unsafe count.initialize(to: 0)
    }

    deinit {
      unsafe cells.deallocate()
      unsafe count.deallocate()
    }

    func recorder() -> FlightRecorder {
      unsafe FlightRecorder(unsafeCells: cells, capacity: capacity, published: count)
    }

    /// What is left, oldest first.
    var events: [FlightEvent] {
      let written = unsafe Int(count.pointee)
      return (max(0, written - capacity)..<written).map { unsafe cells[$0 % capacity] }
    }
  }

  @Test func theNewestEventsStay() {
    let memory = Memory(8)
    var recorder = memory.recorder()
    for number in 0..<21 { recorder.append(FlightEvent(.armed, index: UInt32(number))) }
    #expect(memory.events.map(\.index) == Array(13..<21))
    #expect(recorder.written == 21)
  }

  @Test func completionsAreCopiedAsTheyAreWhereverTheRingsWrap() throws {
    for capacity in [8, 64, 128] {
      let memory = Memory(capacity)
      var recorder = memory.recorder()
      let queue = FakeCompletionQueue(capacity: 32, start: 7)
      var ring = queue.ring()
      var generator = SeededGenerator(seed: UInt64(capacity))
      var wanted: [FlightEvent] = []
      var number: UInt64 = 0
      for _ in 0..<200 {
        let count = UInt32.random(in: 0...32, using: &generator)
        let head = FlightEvent(.batch, index: count, number)
        wanted.append(head)
        for _ in 0..<count {
          let tag = OperationTag(.receive, index: UInt32(truncatingIfNeeded: number))
          try #require(
            queue.post(tag: tag.rawValue, result: -5, flags: 3, offset: number << 12))
          wanted.append(
            FlightEvent(completion: tag, result: -5, flags: 3, offset: number << 12))
          number += 1
        }
        recorder.append(head, ring, count: count)
        ring.advance(count)
        // A batch of more than there are cells keeps its newest; the head may be among the lost.
        let kept = memory.events.suffix(min(capacity - 1, wanted.count))
        try #require(Array(kept) == Array(wanted.suffix(kept.count)))
      }
    }
  }

  @Test func whatIsOffRecordsNothing() {
    var recorder = FlightRecorder()
    recorder.append(FlightEvent(.stopping))
    recorder.append(.stall, now: 1, text: "text")
    #expect(!recorder.isOn)
    #expect(recorder.written == 0)
  }

  @Test func everyEndHasACode() {
    let ends: [StreamEnd] = [
      .finished, .failed(104), .refused, .stopped, .misplaced, .unsplit, .starved, .limited,
    ]
    for end in ends { #expect(StreamEnd(code: end.code, errno: 104) == end) }
    #expect(Set(ends.map(\.code)).count == ends.count)
    #expect(StreamEnd(code: 8, errno: 0) == nil)
  }
}
