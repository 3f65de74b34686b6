import CIngestKernel
import Testing

@testable import RingCore

@Suite struct MeterTests {
  /// One batch, of which the sink took its time.
  private func run(_ meter: inout Meter, _ number: UInt64, bytes: UInt64) -> Bool {
    meter.begin(number, now: ik_clock_ns())
    let sampled = meter.isOn
    if sampled {
      meter.start()
      meter.lap(.sink)
    }
    meter.end(bytes: bytes)
    return sampled
  }

  @Test func oneBatchOfSixtyFourIsSampled() {
    var meter = Meter()
    let sampled = (0..<256).filter { run(&meter, UInt64($0), bytes: 100) }
    #expect(sampled == [0, 64, 128, 192])
    #expect(meter.totals.batches == 4)
    #expect(meter.totals.bytes == 400)
    #expect(!meter.isOn)
  }

  /// A short run of few batches has its prices, though every 64th batch of it was empty.
  @Test func anEmptyBatchLeavesItsSampleToTheNext() {
    var meter = Meter()
    let sampled = (0..<130).filter { run(&meter, UInt64($0), bytes: $0 % 64 < 2 ? 0 : 10) }
    #expect(sampled == [0, 1, 2, 66])
    #expect(meter.totals.batches == 2)
    #expect(meter.totals.bytes == 20)
    #expect(meter.totals.nanosecondsPerKiB(.sink) != nil)
  }
}
