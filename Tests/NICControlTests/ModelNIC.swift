import IngestTestSupport

@testable import NICControl

/// A NIC in memory, with the rules of the kernel and of drivers that plans depend on.
struct ModelNIC: Equatable {
  var observed: NICObservation
  /// Whether the table is an administrator's; the driver's own is filled anew with the channels.
  var isTableConfigured = false

  struct Refusal: Error, Equatable { let why: String }

  init(
    queues: UInt32 = 4, most: UInt32 = 8, split: UInt32 = 1, threshold: UInt32 = 0,
    tableSize: Int = 16, picksLocations: Bool = false
  ) {
    observed = NICObservation(
      ifname: "eth1", driver: "model",
      values: [
        .channels: [0, 0, queues, 0], .tcpDataSplit: [split], .headerSplitThreshold: [threshold],
        .receiveRing: [256], .feature("rx-ntuple-filter"): [0], .feature("rx-gro-hw"): [1],
        .indirection: IndirectionTable.equal(0..<queues, size: tableSize),
      ],
      contexts: [:], rules: [], mostChannels: [0, 0, most, 0], ruleLocations: 8,
      picksLocations: picksLocations,
      changeableFeatures: ["rx-ntuple-filter", "rx-gro-hw"])
  }

  mutating func take(_ step: NICStep, _ journal: inout NICJournal) throws {
    switch step {
    case .set(let setting, _, let to): try set(setting, to)
    case .createContext(let owned):
      guard observed.contexts[owned.number] == nil else { throw Refusal(why: "EEXIST") }
      try checkTable(owned.table)
      observed.contexts[owned.number] = owned.table
    case .insertRule(let owned):
      guard observed.values[.feature("rx-ntuple-filter")] == [1] else {
        throw Refusal(why: "EOPNOTSUPP: n-tuple rules are off")
      }
      if let context = owned.context, observed.contexts[context] == nil {
        throw Refusal(why: "EINVAL: no such context")
      }
      var rule = owned.rule
      let taken = observed.rules.map(\.location)
      rule.location = owned.location ?? (0..<8).first { !taken.contains($0) } ?? 0
      guard !taken.contains(rule.location) else { throw Refusal(why: "EEXIST") }
      observed.rules.append(rule)
      observed.rules.sort { $0.location < $1.location }
      journal.note(rule.location, of: owned)
    case .deleteRule(let location, _):
      guard observed.rules.contains(where: { $0.location == location }) else {
        throw Refusal(why: "ENOENT")
      }
      observed.rules.removeAll { $0.location == location }
    case .deleteContext(let number):
      guard !observed.rules.contains(where: { $0.context == number }) else {
        throw Refusal(why: "EBUSY")
      }
      observed.contexts[number] = nil
    }
  }

  mutating func set(_ setting: NICSetting, _ value: NICSetting.Value) throws {
    switch setting {
    case .indirection:
      let size = observed.values[.indirection]?.count ?? 0
      try checkTable(value)
      isTableConfigured = !value.isEmpty
      observed.values[.indirection] =
        value.isEmpty ? IndirectionTable.equal(0..<observed.receiveQueues, size: size) : value
    case .channels:
      let count = NICObservation.receiveQueues(value)
      let table = observed.values[.indirection] ?? []
      let used = (isTableConfigured ? table : []) + observed.contexts.values.flatMap(\.self)
      guard used.allSatisfy({ $0 < count }) else { throw Refusal(why: "EINVAL: table in use") }
      observed.values[.channels] = value
      if !isTableConfigured {
        observed.values[.indirection] = IndirectionTable.equal(0..<count, size: table.count)
      }
    case .feature, .tcpDataSplit, .headerSplitThreshold, .receiveRing:
      observed.values[setting] = value
    }
  }

  private func checkTable(_ table: [UInt32]) throws {
    guard table.allSatisfy({ $0 < observed.receiveQueues }) else {
      throw Refusal(why: "EINVAL: queue out of range")
    }
  }

  /// Whether everything is shown as it was, and the driver's own table is its own again. A written
  /// table that looks like the driver's cannot be told from it.
  func isBack(at start: ModelNIC) -> Bool {
    observed == start.observed && (start.isTableConfigured || !isTableConfigured)
  }

  // MARK: What a transaction does, without the disk

  /// Takes a plan's steps, the first `limit` of them; a killed process took no more.
  mutating func take(_ plan: NICPlan, _ journal: inout NICJournal, limit: Int = .max) throws {
    journal = plan.journal
    for step in plan.steps.prefix(limit) { try take(step, &journal) }
  }

  /// As whoever comes next does it: undoes what nobody alive wants. Returns what was kept.
  mutating func converge(_ journal: inout NICJournal, limit: Int = .max) throws -> [String] {
    let plan = try NICPlan(observed, journal, .release)
    try take(plan, &journal, limit: limit)
    guard limit == .max else { return plan.kept }
    journal = plan.settled(journal)
    return plan.kept
  }

  /// Some state that an administrator may have left.
  static func random(
    _ generator: inout SeededGenerator, tableSize: Int? = nil
  ) throws -> ModelNIC {
    let queues = UInt32.random(in: 2...8, using: &generator)
    var nic = ModelNIC(
      queues: queues, split: .random(in: 0...2, using: &generator),
      threshold: [0, 0, 128, 512].randomElement(using: &generator) ?? 0,
      tableSize: tableSize ?? ([16, 128].randomElement(using: &generator) ?? 16),
      picksLocations: .random(using: &generator))
    var none = NICJournal(boot: "", ifname: "", interface: 0)
    try nic.set(.feature("rx-gro-hw"), [.random(in: 0...1, using: &generator)])
    let size = nic.observed.values[.indirection]?.count ?? 0
    if Bool.random(using: &generator) {
      let used = (0..<queues).filter { _ in Bool.random(using: &generator) }
      try nic.set(.indirection, IndirectionTable.weighted(used.isEmpty ? [0] : used, size: size))
    }
    for number in 1..<UInt32.random(in: 1...3, using: &generator) {
      let table = IndirectionTable.over([.random(in: 0..<queues, using: &generator)], size: size)
      try nic.take(.createContext(.init(holder: 0, number: number, table: table)), &none)
    }
    guard Bool.random(using: &generator) else { return nic }
    try nic.set(.feature("rx-ntuple-filter"), [1])
    for port in 0..<UInt16.random(in: 0...3, using: &generator) {
      let location = nic.observed.picksLocations ? nil : UInt32(7 - port)
      try nic.take(
        .insertRule(
          .init(
            holder: 0, flow: .init(port: 80 + port, isIPv6: false), queue: UInt32(port) % queues,
            location: location)), &none)
    }
    return nic
  }
}
