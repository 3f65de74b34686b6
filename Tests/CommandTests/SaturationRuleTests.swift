import CommandSupport
import Testing

/// The judgement, from evidence written down by hand.
@Suite struct SaturationRuleTests {
  /// A second in which much came, with both ends half idle and data under way half of the time.
  private static func seen(
    _ change: (inout SaturationEvidence) -> Void
  ) -> SaturationFinding {
    var seen = SaturationEvidence()
    seen.seconds = 1
    seen.bytes = 1 << 30
    seen.copiedShare = 1
    seen.sender.running = 0.3
    seen.receiver.running = 0.3
    seen.flow.busy = 0.3
    seen.ring.completions = 10_000
    seen.ring.buffers = 128
    change(&seen)
    return SaturationRule.judge(seen)
  }

  @Test func tooLittleIsUnclear() {
    let short = SaturationRuleTests.seen { $0.seconds = 0.1 }
    #expect(short.limiter == .unclear && short.confidence == .low)
    let small = SaturationRuleTests.seen { $0.bytes = 100 }
    #expect(small.limiter == .unclear)
    #expect(SaturationRuleTests.seen { _ in }.limiter == .unclear)
    #expect(SaturationRule.judge(SaturationEvidence()).limiter == .unclear)
  }

  @Test func whoeverIsBusyAloneLimits() {
    let sender = SaturationRuleTests.seen { $0.sender.running = 0.97 }
    #expect(sender.limiter == .sender && sender.confidence == .high)
    let receiver = SaturationRuleTests.seen {
      $0.receiver.running = 0.97
      $0.receiver.kernelShare = 0.4
    }
    #expect(receiver.limiter == .application)
    let copies = SaturationRuleTests.seen {
      $0.receiver.running = 0.97
      $0.receiver.kernelShare = 0.9
    }
    #expect(copies.limiter == .copies && copies.confidence == .high)
    let placed = SaturationRuleTests.seen {
      $0.receiver.running = 0.97
      $0.receiver.kernelShare = 0.9
      $0.copiedShare = 0
    }
    #expect(placed.limiter == .application)
  }

  /// TCP's clock tells who waits for whom.
  @Test func bothBusyAreToldApart() {
    let receiver = SaturationRuleTests.seen {
      $0.sender.running = 0.95
      $0.receiver.running = 0.85
      $0.flow.window = 0.2
    }
    #expect(receiver.limiter == .application && receiver.confidence == .low)
    let waitedFor = SaturationRuleTests.seen {
      $0.sender.running = 0.85
      $0.receiver.running = 0.7
      $0.receiver.kernelShare = 0.95
      $0.flow.window = 0.7
    }
    #expect(waitedFor.limiter == .copies)
    let sender = SaturationRuleTests.seen {
      $0.sender.running = 0.95
      $0.receiver.running = 0.85
    }
    #expect(sender.limiter == .sender && sender.confidence == .low)
  }

  @Test func othersOnTheCPUAreNamed() {
    let receiver = SaturationRuleTests.seen {
      $0.receiver.running = 0.05
      $0.receiver.waiting = 0.9
      $0.handling = 0.9
      $0.parts = [.init("checksum", share: 0.85)]
    }
    #expect(receiver.limiter == .application && receiver.confidence == .high)
    #expect(receiver.reasons.joined().contains("other work"))
    let sender = SaturationRuleTests.seen {
      $0.sender.running = 0.05
      $0.sender.waiting = 0.9
    }
    #expect(sender.limiter == .sender && sender.confidence == .high)
  }

  @Test func idleEndsAndABusyFlowAreTheLink() {
    let link = SaturationRuleTests.seen {
      $0.flow.busy = 0.98
      $0.flow.retransmits = 12
    }
    #expect(link.limiter == .link && link.confidence == .high)
    #expect(link.reasons.contains("12 segments had to be sent again"))
    let asked = SaturationRuleTests.seen { $0.askedRate = 8 * Double(1 << 30) }
    #expect(asked.limiter == .link && asked.confidence == .high)
    // A rate that is far from being reached limits nothing.
    #expect(SaturationRuleTests.seen { $0.askedRate = 100e9 }.limiter == .unclear)
  }

  @Test func softInterruptsNeedACPUWithoutIdleTime() {
    let busy = SaturationRuleTests.seen {
      $0.softCPU.number = 1
      $0.softCPU.softInterrupts = 0.7
      $0.softCPU.idle = 0.02
      $0.receiverCPU.number = 1
      $0.receiver.running = 0.9
    }
    #expect(busy.limiter == .softInterrupts && busy.confidence == .high)
    let idle = SaturationRuleTests.seen {
      $0.softCPU.softInterrupts = 0.45
      $0.softCPU.idle = 0.5
    }
    #expect(idle.limiter != .softInterrupts)
    // On the sender's CPU, which it shares with the sender's own work.
    let sender = SaturationRuleTests.seen {
      $0.softCPU.softInterrupts = 0.45
      $0.softCPU.idle = 0
      $0.receiverCPU.number = 1
      $0.sender.running = 0.95
    }
    #expect(sender.limiter == .sender)
  }

  @Test func shortagesAreNamedByWhatIsShort() {
    let area = SaturationRuleTests.seen { $0.ring.pauses = 5_000 }
    #expect(area.limiter == .ring(.area) && area.confidence == .high)
    let queue = SaturationRuleTests.seen { $0.ring.completionsFull = 1_500 }
    #expect(queue.limiter == .ring(.completions) && queue.confidence == .medium)
    let refill = SaturationRuleTests.seen { $0.ring.refillFlushes = 9_000 }
    #expect(refill.limiter == .ring(.refill))
    let few = SaturationRuleTests.seen { $0.ring.pauses = 20 }
    #expect(few.limiter == .unclear)
    let window = SaturationRuleTests.seen {
      $0.flow.busy = 0.9
      $0.flow.window = 0.8
      $0.socketBuffer = 4096
    }
    #expect(window.limiter == .ring(.window) && window.confidence == .high)
    let emptied = SaturationRuleTests.seen {
      $0.flow.busy = 1
      $0.flow.window = 1
      $0.ring.freeLow = 0
    }
    #expect(emptied.limiter == .ring(.area))
    // An area that has buffers left is not to blame, whoever closes the window.
    let other = SaturationRuleTests.seen {
      $0.flow.busy = 1
      $0.flow.window = 1
      $0.ring.freeLow = 3
    }
    #expect(other.limiter == .unclear)
  }

  /// An area that is full because a sink holds it is the sink's doing.
  @Test func aSinkThatHoldsTheAreaIsNamed() {
    let sink = SaturationRuleTests.seen {
      $0.ring.pauses = 5_000
      $0.ring.heldShare = 0.9
    }
    #expect(sink.limiter == .stage("sink") && sink.confidence == .high)
    // Without a receive that failed for want of buffers.
    let holding = SaturationRuleTests.seen {
      $0.ring.heldShare = 0.4
      $0.flow.busy = 1
      $0.flow.window = 0.9
    }
    #expect(holding.limiter == .stage("sink") && holding.confidence == .medium)
  }

  @Test func aPartThatHasItsThreadIsNamed() {
    let parse = SaturationRuleTests.seen {
      $0.receiver.running = 0.98
      $0.handling = 0.95
      $0.parts = [.init("parse", share: 0.9), .init("sink", share: 0.02)]
    }
    #expect(parse.limiter == .stage("parse") && parse.confidence == .high)
    // One that waits, and so is not busy.
    let sink = SaturationRuleTests.seen {
      $0.receiver.running = 0.05
      $0.handling = 0.95
      $0.parts = [.init("sink", share: 0.9)]
      $0.sinkWaits = 100
    }
    #expect(sink.limiter == .stage("sink"))
    // Fewer batches than are sampled: nothing is known of the parts.
    let asleep = SaturationRuleTests.seen {
      $0.receiver.running = 0.03
      $0.handling = 1
    }
    #expect(asleep.limiter == .stage("sink") && asleep.confidence == .high)
    let placed = SaturationRuleTests.seen {
      $0.handling = 0.1
      $0.parts = [.init("checksum", place: "checksum", share: 0.85)]
    }
    #expect(placed.limiter == .stage("checksum"))
    let near = SaturationRuleTests.seen {
      $0.receiver.running = 0.9
      $0.handling = 0.5
      $0.parts = [.init("checksum", share: 0.45)]
    }
    #expect(near.limiter == .stage("checksum") && near.confidence == .medium)
  }

  @Test func partsThatAreAlikeAreTheApplication() {
    for share in [0.41, 0.49] {
      let alike = SaturationRuleTests.seen {
        $0.receiver.running = 0.97
        $0.handling = 0.85
        $0.parts = [.init("parse", share: share), .init("sink", share: share - 0.01)]
      }
      #expect(alike.limiter == .application)
    }
    // On another thread the other one is no part of the same time.
    let apart = SaturationRuleTests.seen {
      $0.receiver.running = 0.97
      $0.handling = 0.85
      $0.parts = [.init("parse", share: 0.9), .init("sink", place: "sink", share: 0.85)]
    }
    #expect(apart.limiter == .stage("parse"))
  }

  @Test func everyLimiterHasWordsAndARemedy() {
    let all: [Limiter] = [
      .sender, .softInterrupts, .application, .link, .copies, .ring(.area), .ring(.completions),
      .ring(.refill), .ring(.window), .stage("parse"), .stage("sink"), .unclear,
    ]
    #expect(Set(all.map(\.words)).count == all.count)
    for limiter in all { #expect(!limiter.remedy.isEmpty && !limiter.name.contains(" ")) }
    #expect(Limiter.stage("sink").detail == "sink" && Limiter.link.detail == nil)
  }
}
