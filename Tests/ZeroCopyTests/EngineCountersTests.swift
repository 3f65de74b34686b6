import Testing

@testable import ZeroCopy

@Suite("counters of an engine")
struct EngineCountersTests {
  @Test("the busy words come first, and are published without the others")
  func busyWords() {
    #expect(MemoryLayout<EngineCounters>.offset(of: \.pauses) == EngineCounters.busyWords * 8)
    var counters = EngineCounters()
    let shared = SharedCounters(counters)
    (counters.bytes, counters.keptBytes, counters.pauses) = (1, 2, 3)
    shared.publish(&counters, words: EngineCounters.busyWords)
    let seen = shared.snapshot()
    #expect(seen.bytes == 1 && seen.keptBytes == 2 && seen.pauses == 0)
    shared.publish(counters)
    #expect(shared.snapshot().pauses == 3)
  }
}
