import IngestTestSupport
import Testing

@testable import RingCore

@Suite struct HistogramTests {
  @Test func everyClassHoldsWhatItsBoundsSay() {
    var previous: UInt64?
    for index in 0..<Histogram.classCount {
      let bound = Histogram.upperBound(of: index)
      #expect(Histogram.index(of: bound) == index)
      if let previous { #expect(Histogram.index(of: previous + 1) == index) }
      previous = bound
    }
    #expect(previous == .max)
  }

  @Test func smallValuesAreExact() {
    for value in UInt64(0)..<128 {
      var histogram = Histogram()
      histogram.record(value)
      #expect(histogram.percentile(0.5) == value)
    }
  }

  @Test(arguments: [1, 2, 3]) func percentilesAreWithinTheStatedError(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    var histogram = Histogram()
    var values: [UInt64] = []
    for _ in 0..<10_000 {
      let value = UInt64(generator.logUniform(upTo: 1 << 40))
      values.append(value)
      histogram.record(value)
    }
    values.sort()
    for share in [0, 0.001, 0.1, 0.5, 0.9, 0.99, 0.9999, 1] {
      let exact = values[max(Int((share * 10_000).rounded(.up)), 1) - 1]
      let percentile = histogram.percentile(share)
      let found = try #require(percentile)
      #expect(found >= exact)
      #expect(Double(found - exact) <= Double(exact) / 64, "share \(share)")
    }
    #expect(histogram.minimum == values.first)
    #expect(histogram.maximum == values.last)
    #expect(histogram.sum == values.reduce(0, +))
    #expect(histogram.percentile(1) == values.last)
  }

  @Test func mergingIsTheSameAsRecordingInOne() {
    var generator = SeededGenerator(seed: 9)
    var one = Histogram()
    var left = Histogram()
    var right = Histogram()
    for _ in 0..<2000 {
      let value = generator.next() >> UInt64.random(in: 0..<64, using: &generator)
      one.record(value)
      if Bool.random(using: &generator) { left.record(value) } else { right.record(value) }
    }
    left.merge(right)
    #expect(left.count == one.count)
    #expect(left.sum == one.sum)
    #expect(left.minimum == one.minimum)
    #expect(left.maximum == one.maximum)
    for step in 0...100 {
      let share = Double(step) / 100
      #expect(left.percentile(share) == one.percentile(share))
    }
  }

  @Test func nothingRecordedHasNoPercentile() {
    var histogram = Histogram()
    #expect(histogram.percentile(0.5) == nil)
    #expect(histogram.mean == nil)
    histogram.record(7)
    #expect(histogram.mean == 7)
    histogram.reset()
    #expect(histogram.count == 0)
    #expect(histogram.percentile(1) == nil)
  }

  @Test func theWholeRangeIsCovered() {
    var histogram = Histogram()
    histogram.record(.max)
    histogram.record(0)
    #expect(histogram.percentile(1) == .max)
    #expect(histogram.percentile(0) == 0)
    #expect(histogram.percentile(.nan) == .max)
  }
}
