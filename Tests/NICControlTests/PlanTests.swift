import IngestTestSupport
import Testing

@testable import NICControl

/// Plans, taken on a NIC in memory.
@Suite struct PlanTests {
  private static let flow = NICWish.Flow(port: 5301, isIPv6: false)

  private static func journal() -> NICJournal {
    NICJournal(boot: "b", ifname: "eth1", interface: 2)
  }

  static func wish(_ generator: inout SeededGenerator, port: UInt16) -> NICWish {
    var queues: Set<UInt32> = []
    for _ in 0..<Int.random(in: 1...2, using: &generator) {
      queues.insert(.random(in: 1..<8, using: &generator))
    }
    let flows = [
      NICWish.Flow(port: port, isIPv6: false), NICWish.Flow(port: port, isIPv6: true),
    ]
    return NICWish(
      queues: queues.sorted(), flows: Array(flows.prefix(.random(in: 1...2, using: &generator))),
      receiveRing: [nil, 512].randomElement(using: &generator) ?? nil)
  }

  @Test func theOrderIsThatInWhichTheKernelTakesThem() throws {
    var journal = Self.journal()
    _ = journal.add(NICWish(queues: [5], flows: [Self.flow]), isProcess: true)
    let plan = try NICPlan(ModelNIC().observed, journal, .acquire)
    #expect(
      plan.steps.map(\.text) == [
        "channels: combined 4 -> combined 6",
        "rx-ntuple-filter: off -> on",
        "tcp-data-split: off -> on",
        "indirection table: queues 0-3, 16 entries -> queues 0-4, 16 entries",
        "+ n-tuple rule: TCP/IPv4 port 5301 -> queue 5",
      ])
    #expect(
      plan.steps.compactMap { $0.command("eth1") } == [
        "ethtool -L eth1 combined 6",
        "ethtool -K eth1 ntuple on",
        "ethtool -G eth1 tcp-data-split on",
        "ethtool -X eth1 equal 5",
        "ethtool -N eth1 flow-type tcp4 dst-port 5301 action 5 loc 7",
      ])
  }

  /// A rule for one address of the machine, which is read back as it was written.
  @Test(
    arguments: [
      ([192, 0, 2, 7], "tcp4 dst-ip 192.0.2.7"),
      ([0x20, 1, 0xd, 0xb8] + [UInt8](repeating: 0, count: 11) + [9], "tcp6 dst-ip 2001:db8::9"),
    ] as [([UInt8], String)])
  func aRuleMayBeForAnAddress(bytes: [UInt8], words: String) throws {
    let flow = NICWish.Flow(port: 5301, isIPv6: bytes.count == 16, address: bytes)
    var journal = Self.journal()
    _ = journal.add(NICWish(queues: [5], flows: [flow]), isProcess: true)
    let plan = try NICPlan(ModelNIC().observed, journal, .acquire)
    #expect(
      plan.steps.last?.command("eth1")
        == "ethtool -N eth1 flow-type \(words) dst-port 5301 action 5 loc 7")
    let rule = FlowRule(flow, queue: 5, context: nil)
    let specification = try #require(rule.specification)
    let again = try #require(FlowRule(specification: specification[...], context: 0))
    #expect(again.isSame(as: rule))
    #expect(!again.isSame(as: FlowRule(Self.flow, queue: 5, context: nil)))
  }

  @Test func severalQueuesGetAContext() throws {
    var journal = Self.journal()
    _ = journal.add(NICWish(queues: [2, 3], flows: [Self.flow]), isProcess: true)
    let plan = try NICPlan(ModelNIC().observed, journal, .acquire)
    #expect(
      plan.steps.suffix(3).compactMap { $0.command("eth1") } == [
        "ethtool -X eth1 equal 2",
        "ethtool -X eth1 start 2 equal 2 context new",
        "ethtool -N eth1 flow-type tcp4 dst-port 5301 context 1 loc 7",
      ])
  }

  /// The wish is reached, reached again without a step, and undone to the last entry; killed at
  /// any step of either, whoever comes next finds the start state again.
  @Test(arguments: 0..<400)
  func everyStateIsLeftAndReachedAgain(seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed))
    let start = try ModelNIC.random(&generator)
    let wish = Self.wish(&generator, port: 5301)
    var journal = Self.journal()
    let holder = journal.add(wish, isProcess: true)
    let plan: NICPlan
    do {
      plan = try NICPlan(start.observed, journal, .acquire)
    } catch {
      // All queues wished for, or the rules' table full: then it says so.
      #expect(error.kind == .usage || error.kind == .refused)
      return
    }
    var nic = start
    try nic.take(plan, &journal)
    Self.expectReached(nic.observed, wish)
    #expect(try NICPlan(nic.observed, journal, .acquire).steps.isEmpty)
    #expect(journal.drift(nic.observed).isEmpty)
    for limit in 0...plan.steps.count {
      try Self.expectRecovery(start, plan, killedAfter: limit, holder)
      try Self.expectCompletion(start, plan, killedAfter: limit, wish)
    }
    let full = try Self.undoPlan(nic, journal, holder)
    for limit in 0...full.steps.count {
      var (nic, journal) = (nic, journal)
      journal.holders.removeAll { $0.number == holder }
      _ = try nic.converge(&journal, limit: limit)
      if limit < full.steps.count || limit == .max { _ = try nic.converge(&journal) }
      let kept = try nic.converge(&journal)
      #expect(nic.isBack(at: start), "undo killed after \(limit)")
      #expect(kept.isEmpty && journal.isEmpty)
    }
  }

  private static func undoPlan(
    _ nic: ModelNIC, _ journal: NICJournal, _ holder: Int
  ) throws -> NICPlan {
    var journal = journal
    journal.holders.removeAll { $0.number == holder }
    return try NICPlan(nic.observed, journal, .release)
  }

  private static func expectRecovery(
    _ start: ModelNIC, _ plan: NICPlan, killedAfter limit: Int, _ holder: Int
  ) throws {
    var (nic, journal) = (start, plan.journal)
    // What was noted after a step is lost where the process died in between.
    var lost = journal
    try nic.take(plan, &lost, limit: limit)
    journal.holders.removeAll { $0.number == holder }
    let kept = try nic.converge(&journal)
    #expect(nic.isBack(at: start), "killed after \(limit) of \(plan.steps.map(\.text))")
    #expect(kept.isEmpty && journal.isEmpty)
  }

  /// An administrator's command that was killed is given again.
  private static func expectCompletion(
    _ start: ModelNIC, _ plan: NICPlan, killedAfter limit: Int, _ wish: NICWish
  ) throws {
    var (nic, journal) = (start, plan.journal)
    for index in journal.holders.indices { journal.holders[index].process = nil }
    var lost = journal
    try nic.take(plan, &lost, limit: limit)
    let holder = journal.take(wish, isProcess: false, nic.observed)
    #expect(journal.holders.count == 1)
    try nic.take(try NICPlan(nic.observed, journal, .acquire), &journal)
    expectReached(nic.observed, wish)
    journal.holders.removeAll { $0.number == holder }
    #expect(try nic.converge(&journal).isEmpty)
    #expect(nic.isBack(at: start) && journal.isEmpty, "given again after \(limit)")
  }

  static func expectReached(_ nic: NICObservation, _ wish: NICWish) {
    let values = nic.values
    #expect(values[.tcpDataSplit] == [2])
    #expect(values[.headerSplitThreshold] == [0])
    #expect(values[.feature("rx-ntuple-filter")] == [1])
    #expect(nic.receiveQueues > wish.queues.max() ?? 0)
    #expect(Set(values[.indirection] ?? []).isDisjoint(with: wish.queues))
    for flow in wish.flows {
      let rule = nic.rules.first {
        $0.flow == (flow.isIPv6 ? .tcp6 : .tcp4) && $0.matches.first?.number == UInt64(flow.port)
      }
      if wish.queues.count == 1 {
        #expect(rule?.action == .queue(wish.queues[0], virtualFunction: 0))
      } else {
        let table = rule?.context.flatMap { nic.contexts[$0] }
        #expect(Set(table ?? []) == Set(wish.queues))
      }
    }
  }

  /// Whoever goes first, the other keeps what it needs, and in the end all is as before.
  @Test(arguments: 0..<200)
  func twoShareAnInterface(seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(1000 + seed))
    let start = try ModelNIC.random(&generator)
    let wishes = [Self.wish(&generator, port: 5301), Self.wish(&generator, port: 5401)]
    var (nic, journal) = (start, Self.journal())
    var holders: [Int] = []
    for wish in wishes {
      var next = journal
      holders.append(next.add(wish, isProcess: true))
      guard let plan = try? NICPlan(nic.observed, next, .acquire) else { return }
      try nic.take(plan, &journal)
    }
    let first = Int.random(in: 0...1, using: &generator)
    journal.holders.removeAll { $0.number == holders[first] }
    #expect(try nic.converge(&journal).isEmpty)
    Self.expectReached(nic.observed, wishes[1 - first])
    journal.holders.removeAll { $0.number == holders[1 - first] }
    #expect(try nic.converge(&journal).isEmpty)
    #expect(nic.isBack(at: start))
    #expect(journal.isEmpty)
  }

  /// A process that wants what an administrator has applied shares rule and context, and keeps
  /// them when the administrator takes his wish back.
  @Test(arguments: [[3], [2, 3]] as [[UInt32]])
  func theSameWishTwiceIsMadeOnce(queues: [UInt32]) throws {
    let start = ModelNIC()
    var (nic, journal) = (start, Self.journal())
    let wish = NICWish(queues: queues, flows: [Self.flow])
    let holders = [journal.add(wish, isProcess: false)]
    try nic.take(try NICPlan(nic.observed, journal, .acquire), &journal)
    let second = journal.add(wish, isProcess: true)
    let plan = try NICPlan(nic.observed, journal, .acquire)
    #expect(plan.steps.isEmpty)
    try nic.take(plan, &journal)
    journal.holders.removeAll { $0.number == holders[0] }
    #expect(try nic.converge(&journal).isEmpty)
    Self.expectReached(nic.observed, wish)
    journal.holders.removeAll { $0.number == second }
    #expect(try nic.converge(&journal).isEmpty)
    #expect(nic.isBack(at: start) && journal.isEmpty)
  }

  @Test func whatSomebodyElseHasChangedStays() throws {
    var nic = ModelNIC()
    var journal = Self.journal()
    let holder = journal.add(NICWish(queues: [3], flows: [Self.flow]), isProcess: true)
    try nic.take(try NICPlan(nic.observed, journal, .acquire), &journal)
    try nic.set(.indirection, IndirectionTable.equal(0..<1, size: 16))
    nic.observed.rules.removeAll()
    #expect(
      journal.drift(nic.observed) == [
        "indirection table is queue 0, 16 entries; it was set to queues 0-2, 16 entries",
        "the n-tuple rule TCP/IPv4 port 5301 -> queue 3 is gone",
      ])
    journal.holders.removeAll { $0.number == holder }
    let kept = try nic.converge(&journal)
    #expect(
      kept == [
        "n-tuple rule 7 (TCP port 5301) is gone: somebody else has deleted it",
        "indirection table is queue 0, 16 entries now, which somebody else has set: left (before, "
          + "it was queues 0-3, 16 entries)",
      ])
    #expect(nic.observed.values[.indirection] == IndirectionTable.equal(0..<1, size: 16))
    #expect(nic.observed.values[.tcpDataSplit] == [1])
    #expect(journal.isEmpty)
  }

  @Test func whatCannotBeIsSaid() throws {
    func refusal(_ nic: ModelNIC, _ wish: NICWish) -> NICPlanError? {
      var journal = Self.journal()
      _ = journal.add(wish, isProcess: true)
      do throws(NICPlanError) {
        _ = try NICPlan(nic.observed, journal, .acquire)
        return nil
      } catch {
        return error
      }
    }
    let one = NICWish(queues: [3], flows: [Self.flow])
    #expect(
      refusal(ModelNIC(), NICWish(queues: [8], flows: []))?.what.contains("no receive queue 8")
        == true)
    #expect(refusal(ModelNIC(), NICWish(queues: [0, 1, 2, 3], flows: []))?.kind == .usage)
    var nic = ModelNIC()
    nic.observed.values[.tcpDataSplit] = nil
    #expect(refusal(nic, one)?.kind == .notSupported)
    nic = ModelNIC()
    nic.observed.values[.feature("rx-ntuple-filter")] = nil
    #expect(refusal(nic, one)?.what.contains("n-tuple") == true)
    nic = ModelNIC()
    var rival = FlowRule(Self.flow, queue: 1, context: nil)
    rival.location = 4
    nic.observed.rules = [rival]
    #expect(refusal(nic, one)?.remedy?.contains("ethtool -N eth1 delete 4") == true)
    nic = ModelNIC()
    nic.observed.ruleLocations = 0
    #expect(refusal(nic, one)?.kind == .refused)
  }

  @Test func whatIsNotSafeIsRefused() {
    let one = NICWish(queues: [0], flows: [])
    let nic = ModelNIC().observed
    #expect(
      NICSafety.refusal(one, nic, carriesDefaultRoute: false)?.what.contains("queue 0") == true)
    #expect(
      NICSafety.refusal(NICWish(queues: [3], flows: []), nic, carriesDefaultRoute: true) == nil)
    var bare = nic
    bare.values[.indirection] = nil
    #expect(
      NICSafety.refusal(NICWish(queues: [3], flows: []), bare, carriesDefaultRoute: true) != nil)
    #expect(
      NICSafety.refusal(NICWish(queues: [3], flows: []), bare, carriesDefaultRoute: false) == nil)
    var single = nic
    single.mostChannels = [0, 0, 1, 0]
    #expect(
      NICSafety.refusal(one, single, carriesDefaultRoute: false)?.what.contains("one receive queue")
        == true)
    let four =
      "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
      + "eth1\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    #expect(NICSafety.carriesDefaultRoute("eth1", four: four, six: ""))
    #expect(!NICSafety.carriesDefaultRoute("eth2", four: four, six: ""))
    let zero = String(repeating: "0", count: 32)
    let gateway = "fe80" + String(repeating: "0", count: 27) + "1"
    let six =
      "\(zero) 00 \(zero) 00 \(gateway) 00000400 00000001 00000000 00000003     eth1\n"
      + "\(zero) 00 \(zero) 00 \(zero) ffffffff 00000001 00000000 00200200       lo\n"
    #expect(NICSafety.carriesDefaultRoute("eth1", four: "", six: six))
    #expect(!NICSafety.carriesDefaultRoute("lo", four: "", six: six))
  }
}
