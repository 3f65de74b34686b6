@testable import Decoders
@testable import NICControl

extension Target {
  static let netlink = Target(
    "netlink", "messages of the kernel about network devices", longest: 700,
    seeds: {
      MessageDecoder.all.enumerated().flatMap { index, decoder in
        decoder.samples.map { [UInt8(index)] + $0 }
      }
    },
    run: { bytes in
      guard let first = bytes.first else { return }
      let decoder = MessageDecoder.all[Int(first) % MessageDecoder.all.count]
      if case .wrong(let what) = decoder.outcome(Array(bytes.dropFirst())) {
        finding("\(decoder.name): \(what)")
      }
    })

  static let journal = Target(
    "journal", "what was changed at a NIC, and what follows of it", longest: 2048
  ) { bytes in
    let text = String(decoding: bytes, as: UTF8.self)
    let journal: NICJournal
    do throws(NICPlanError) {
      journal = try JournalStore.decode(text, path: "file", ifname: "eth1")
    } catch {
      return require(error.what.contains("file") && error.remedy != nil, "\(error)")
    }
    for observed in Scenes.all {
      for direction in [NICPlan.Direction.acquire, .release] {
        if let plan = try? NICPlan(observed, journal, direction) { show(plan) }
      }
      _ = journal.drift(observed)
      _ = observed.receiveQueues
    }
    change(journal)
  }

  private static func show(_ plan: NICPlan) {
    for step in plan.steps { _ = (step.text, step.command("eth1")) }
    _ = plan.settled(plan.journal)
  }

  /// Another holder comes.
  private static func change(_ journal: NICJournal) {
    var journal = journal
    let wish = NICWish(queues: [2, 3], flows: [NICWish.Flow(port: 5301, isIPv6: false)])
    let number = journal.take(wish, isProcess: false, Scenes.all[0])
    require(journal.isLive(number), "a holder that is not there")
    let other = journal.add(wish, isProcess: false)
    require(other != number, "two holders with the number \(number)")
    for owned in journal.rules { _ = journal.heir(of: owned) }
    if let plan = try? NICPlan(Scenes.all[0], journal, .acquire) { show(plan) }
  }
}

/// NICs that a journal may be about.
private enum Scenes {
  static let all = [
    nic(queues: 4, most: 8, rules: []),
    nic(queues: 8, most: 8, rules: [rule(1, context: 1), rule(2, context: nil)]),
    nic(queues: .max, most: .max, rules: [rule(.max, context: .max)]), bare,
  ]

  private static func nic(queues: UInt32, most: UInt32, rules: [FlowRule]) -> NICObservation {
    NICObservation(
      ifname: "eth1", driver: "model",
      values: [
        .channels: [queues == .max ? 1 : 0, 0, queues, 0], .tcpDataSplit: [1],
        .headerSplitThreshold: [0], .receiveRing: [256], .feature("rx-ntuple-filter"): [0],
        .feature("rx-gro-hw"): [1], .indirection: (0..<16).map { $0 % min(queues, 16) },
      ],
      contexts: [1: [2, 3, 2, 3], .max: [7]], rules: rules, mostChannels: [1, 0, most, 0],
      ruleLocations: 8, picksLocations: false,
      changeableFeatures: ["rx-ntuple-filter", "rx-gro-hw"])
  }

  private static func rule(_ location: UInt32, context: UInt32?) -> FlowRule {
    var rule = FlowRule(
      NICWish.Flow(port: 5301, isIPv6: false), queue: context == nil ? 5 : nil, context: context)
    rule.location = location
    return rule
  }

  private static let bare = NICObservation(
    ifname: "lo", driver: "", values: [:], contexts: [:], rules: [], mostChannels: [],
    ruleLocations: nil, picksLocations: true, changeableFeatures: [])
}
