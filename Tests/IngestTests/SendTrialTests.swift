import Testing

@testable import ZeroCopy

/// The choice of `auto`, with clocks and counters made up.
@Suite struct SendTrials {
  /// Plays epochs whose sends cost so many nanoseconds each.
  private func outcome(
    plain: UInt64, zeroCopy: UInt64, copied: Bool = false
  ) -> SendTrial.Outcome? {
    var trial = SendTrial()
    var tally = SendTally()
    var clock: UInt64 = 0
    trial.begin(now: clock, cpu: clock)
    for _ in 0..<1000 {
      if let outcome = trial.outcome { return outcome }
      while !trial.epochIsOver(tally, now: clock) {
        tally.sends += 1
        tally.bytes += 8000
        clock += trial.zeroCopyNow ? zeroCopy : plain
        if trial.zeroCopyNow {
          tally.notifications += 1
          if copied { tally.copiedSends += 1 }
        }
      }
      trial.closeEpoch(tally, now: clock, cpu: clock)
    }
    return nil
  }

  @Test func theCheaperWayIsTaken() {
    #expect(outcome(plain: 2200, zeroCopy: 1700)?.zeroCopy == true)
    #expect(outcome(plain: 1500, zeroCopy: 1700)?.zeroCopy == false)
  }

  @Test func aPathThatCopiesIsNotMeasured() {
    let found = outcome(plain: 2200, zeroCopy: 1700, copied: true)
    #expect(found?.zeroCopy == false)
    #expect(found?.allCopied == true)
  }

  @Test func bothWaysGetTheSameNumberOfEpochs() {
    let measured = (2..<SendTrial.epochs).map { SendTrial.order >> UInt32($0) & 1 }
    #expect(measured.reduce(0, +) * 2 == UInt32(measured.count))
  }
}
