import Testing
import ZeroCopy

/// How long a wait may be where buffers run out.
@Suite struct WaitPaceTests {
  @Test func itIsWhatWasAskedForWhileBuffersAreLeft() {
    var pace = WaitPace(most: 200)
    for left in UInt32(17)...128 {
      pace.ended(left: left, of: 128)
      #expect(pace.microseconds == 200)
    }
  }

  @Test(arguments: [(0, 1), (1, 8), (16, 128), (0, 4)] as [(UInt32, UInt32)])
  func itHalvesWithEachWaitThatTakesAll(left: UInt32, offered: UInt32) {
    var pace = WaitPace(most: 200)
    for expected: UInt32 in [100, 50, 25, 12, 6, 3, 1, 1] {
      pace.ended(left: left, of: offered)
      #expect(pace.microseconds == expected)
    }
  }

  @Test func itGrowsAgainWithHalfOfThemLeft() {
    var pace = WaitPace(most: 200)
    for _ in 0..<20 { pace.ended(left: 0, of: 16) }
    pace.ended(left: 7, of: 16)
    #expect(pace.microseconds == 1)
    var before = pace.microseconds
    for _ in 0..<40 {
      pace.ended(left: 8, of: 16)
      #expect(pace.microseconds == 200 || pace.microseconds > before)
      before = pace.microseconds
    }
    #expect(pace.microseconds == 200)
  }

  /// Somebody asked for none.
  @Test func noWaitStaysNone() {
    var pace = WaitPace(most: 0)
    pace.ended(left: 0, of: 4)
    pace.ended(left: 4, of: 4)
    #expect(pace == WaitPace(most: 0))
    #expect(pace.microseconds == 0)
  }
}
