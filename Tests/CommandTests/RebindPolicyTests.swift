import Testing

@testable import IngestMain

@Suite("runs whose interface goes away")
struct RebindPolicyTests {
  private static func end(
    _ code: Int32, started: Bool = true, lost: Bool = false, stopped: Bool = false
  ) -> RebindPolicy.End {
    RebindPolicy.End(code: code, hadStarted: started, isLost: lost, isStopped: stopped)
  }

  @Test("only the loss of the interface is waited for")
  func endsOtherwise() {
    var policy = RebindPolicy(patience: 10)
    for code in [0, 1, 2, 7, 137] as [Int32] {
      #expect(policy.next(Self.end(code), now: 5) == .end(code))
      #expect(policy.next(Self.end(code, started: false), now: 5) == .end(code))
    }
    #expect(policy.next(Self.end(1, lost: true), now: 5) == .wait(until: 15))
  }

  @Test("starts that fail are repeated until the patience is over, counted from the loss")
  func repeats() {
    var policy = RebindPolicy(patience: 10)
    #expect(policy.next(Self.end(1, lost: true), now: 5) == .wait(until: 15))
    #expect(policy.next(Self.end(4, started: false), now: 8) == .wait(until: 15))
    #expect(policy.next(Self.end(4, started: false), now: 15) == .end(4))
  }

  @Test("a start that succeeded forgets the loss; another one is waited for as long")
  func startsOver() {
    var policy = RebindPolicy(patience: 10)
    _ = policy.next(Self.end(1, lost: true), now: 5)
    #expect(policy.next(Self.end(1), now: 8) == .end(1))
    #expect(policy.next(Self.end(1, lost: true), now: 5) == .wait(until: 15))
    #expect(policy.next(Self.end(1, lost: true), now: 14) == .wait(until: 24))
  }

  @Test("who asked for the end gets it, whatever else happened")
  func stops() {
    var policy = RebindPolicy(patience: 10)
    #expect(policy.next(Self.end(1, lost: true, stopped: true), now: 5) == .end(1))
    #expect(policy.next(Self.end(0, stopped: true), now: 5) == .end(0))
  }

  @Test("a signal is an exit code as in shells")
  func signals() {
    var end = RebindPolicy.End()
    end.note(status: 9)
    #expect(end.code == 137)
    end.note(status: 7 << 8)
    #expect(end.code == 7)
  }
}
