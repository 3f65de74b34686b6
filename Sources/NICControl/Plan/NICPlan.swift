/// The changes that lead from what a NIC is to what its holders want of it.
public struct NICPlan: Equatable, Sendable {
  public var steps: [NICStep] = []
  /// What somebody else has changed since, which stays as it is.
  public var kept: [String] = []
  /// The journal as it must be on disk before the first step.
  public var journal: NICJournal
  /// Settings that somebody still needs.
  private var demanded: Set<NICSetting> = []

  public enum Direction: Sendable {
    /// Somebody came: what is missing is made.
    case acquire
    /// Somebody went: what nobody needs any more is undone.
    case release
  }
}

/// One change.
public enum NICStep: Equatable, Sendable {
  /// An empty table has the driver fill in its own.
  case set(NICSetting, from: NICSetting.Value, to: NICSetting.Value)
  case createContext(NICJournal.OwnedContext)
  case insertRule(NICJournal.OwnedRule)
  case deleteRule(location: UInt32, rule: FlowRule)
  case deleteContext(UInt32)
}

extension NICPlan {
  /// Nothing to do.
  init(kept: [String], journal: NICJournal) {
    self.kept = kept
    self.journal = journal
  }

  /// Plans for the holders that the journal names. A pure function: the same observation and
  /// journal give the same plan.
  public init(
    _ observed: NICObservation, _ journal: NICJournal, _ direction: Direction
  ) throws(NICPlanError) {
    self.journal = journal
    switch direction {
    case .release:
      // With nobody left nothing is demanded; what others need was possible when they came.
      let demands = try Demands(observed, journal)
      demanded = Set(demands.values.keys)
      removeObjects(observed)
      for entry in journal.entries.sorted(by: { $0.setting > $1.setting }) {
        release(entry, observed, demands)
      }
    case .acquire:
      let demands = try Demands(observed, journal)
      for setting in demands.values.keys.sorted() {
        acquire(setting, observed, demands)
      }
      try createObjects(observed, demands)
    }
  }

  /// The journal once all steps of a release were taken: what was undone need not be noted.
  func settled(_ journal: NICJournal) -> NICJournal {
    var settled = journal
    settled.entries.removeAll { !demanded.contains($0.setting) }
    settled.rules.removeAll { !journal.isLive($0.holder) }
    settled.contexts.removeAll { !journal.isLive($0.holder) }
    return settled
  }

  // MARK: Settings

  private mutating func acquire(
    _ setting: NICSetting, _ observed: NICObservation, _ demands: Demands
  ) {
    guard let wanted = demands.values[setting], let now = observed.values[setting] else { return }
    var entry =
      journal.entry(setting)
      ?? NICJournal.Entry(setting: setting, original: demands.original(setting) ?? now, written: [])
    let isOurs = NICPlan.isOurs(now, entry, observed)
    if !isOurs {
      // Somebody else's choice since then is what is to be put back in the end.
      entry.original = now
      entry.written = []
    }
    // The kernel's own split setting may be "unknown" while the driver shows it on; zero-copy
    // receive goes by the former, and only setting it makes it known.
    let mustBeExplicit = setting == .tcpDataSplit && journal.entry(setting) == nil
    // With other channels the driver fills its own table anew, so that what is there now goes.
    let isRefilled = setting == .indirection && demands.changesChannels
    guard now != wanted || mustBeExplicit || isRefilled else {
      if journal.entry(setting) != nil { replace(entry) }
      return
    }
    entry.written.append(wanted)
    replace(entry)
    steps.append(.set(setting, from: now, to: wanted))
  }

  private mutating func release(
    _ entry: NICJournal.Entry, _ observed: NICObservation, _ demands: Demands
  ) {
    let setting = entry.setting
    let wanted = demands.values[setting]
    guard let now = observed.values[setting] else {
      // The device does not have it any more.
      drop(setting)
      return
    }
    if !NICPlan.isOurs(now, entry, observed) {
      kept.append(
        "\(setting.name) is \(setting.text(now)) now, which somebody else has set: left "
          + "(before, it was \(setting.text(entry.original)))")
      if wanted == nil { drop(setting) }
      return
    }
    let target = wanted ?? NICPlan.restoring(entry, journal)
    // A table that looks like the driver's own may still be one that was written.
    let isWritten = target.isEmpty && entry.written.contains { !$0.isEmpty }
    if now == target || wanted == nil && now == entry.original && !isWritten {
      if wanted == nil { drop(setting) }
      return
    }
    var noted = entry
    noted.written.append(target)
    replace(noted)
    steps.append(.set(setting, from: now, to: target))
  }

  /// What puts the original back. A table that the driver had filled in by itself goes back to it:
  /// written out it would look the same, but count as an administrator's, which channels may not
  /// shrink below.
  private static func restoring(
    _ entry: NICJournal.Entry, _ journal: NICJournal
  ) -> NICSetting.Value {
    guard entry.setting == .indirection else { return entry.original }
    let channels = journal.entry(.channels)?.original
    let queues = channels.map { NICObservation.receiveQueues($0) }
    let most = queues ?? (entry.original.max() ?? 0) + 1
    return IndirectionTable.isDefault(entry.original, queues: most) ? [] : entry.original
  }

  static func isOurs(
    _ now: NICSetting.Value, _ entry: NICJournal.Entry, _ observed: NICObservation
  ) -> Bool {
    if now == entry.original || entry.written.contains(now) { return true }
    // The driver fills its table anew when the number of queues changes.
    return entry.setting == .indirection
      && IndirectionTable.isDefault(now, queues: observed.receiveQueues)
  }

  private mutating func replace(_ entry: NICJournal.Entry) {
    drop(entry.setting)
    journal.entries.append(entry)
  }

  private mutating func drop(_ setting: NICSetting) {
    journal.entries.removeAll { $0.setting == setting }
  }

  // MARK: Contexts and rules

  private mutating func removeObjects(_ observed: NICObservation) {
    for index in journal.rules.indices where !journal.isLive(journal.rules[index].holder) {
      let owned = journal.rules[index]
      if let heir = journal.heir(of: owned) {
        journal.rules[index].holder = heir
        continue
      }
      journal.rules[index].isExpected = false
      if let location = journal.location(of: owned, in: observed) {
        var rule = owned.rule
        rule.location = location
        steps.append(.deleteRule(location: location, rule: rule))
      } else if let noted = owned.location, owned.isExpected {
        let other = observed.rules.contains { $0.location == noted }
        kept.append(
          "n-tuple rule \(noted) (TCP port \(owned.flow.port)) is "
            + (other ? "another one now: left" : "gone: somebody else has deleted it"))
      }
    }
    for index in journal.contexts.indices where !journal.isLive(journal.contexts[index].holder) {
      let owned = journal.contexts[index]
      if let rule = journal.rules.first(where: {
        $0.context == owned.number && journal.isLive($0.holder)
      }) {
        journal.contexts[index].holder = rule.holder
        continue
      }
      guard let table = observed.contexts[owned.number] else { continue }
      if table == owned.table {
        steps.append(.deleteContext(owned.number))
      } else {
        kept.append("RSS context \(owned.number) has another table now: left")
      }
    }
  }

  private mutating func createObjects(
    _ observed: NICObservation, _ demands: Demands
  ) throws(NICPlanError) {
    for holder in journal.holders {
      let missing = holder.wish.flows.filter { flow in
        !journal.rules.contains { $0.holder == holder.number && $0.flow == flow }
      }
      var context: UInt32?
      if holder.wish.queues.count > 1 && !missing.isEmpty {
        context = try createContext(for: holder, observed)
      }
      for flow in missing {
        try insertRule(flow, context: context, for: holder, observed)
      }
    }
  }

  private mutating func createContext(
    for holder: NICJournal.Holder, _ observed: NICObservation
  ) throws(NICPlanError) -> UInt32 {
    guard let table = observed.values[.indirection] else {
      throw NICPlanError(
        .notSupported,
        "\(observed.title) has no RSS contexts to spread connections over "
          + "several queues with", remedy: "give --queue one queue")
    }
    let wanted = IndirectionTable.over(holder.wish.queues, size: table.count)
    // Who wants the same queues shares the context.
    if let same = journal.contexts.first(where: {
      $0.table == wanted && observed.contexts[$0.number] == wanted && journal.isLive($0.holder)
    }) {
      return same.number
    }
    let taken = Set(observed.contexts.keys).union(journal.contexts.map(\.number))
    let number = (1...UInt32.max).first { !taken.contains($0) } ?? 1
    let owned = NICJournal.OwnedContext(
      holder: holder.number, number: number, table: wanted)
    journal.contexts.append(owned)
    steps.append(.createContext(owned))
    return number
  }

  private mutating func insertRule(
    _ flow: NICWish.Flow, context: UInt32?, for holder: NICJournal.Holder,
    _ observed: NICObservation
  ) throws(NICPlanError) {
    var owned = NICJournal.OwnedRule(
      holder: holder.number, flow: flow, queue: context == nil ? holder.wish.queues.first : nil,
      context: context)
    // An administrator's rule that does the same does it well.
    if observed.rules.contains(where: { owned.rule.isSame(as: $0) }) { return }
    let rivals = observed.rules.filter { rule in
      rule.flow == owned.rule.flow && rule.matches == owned.rule.matches
    }
    if let rival = rivals.first {
      throw NICPlanError(
        .usage,
        "n-tuple rule \(rival.location) of \(observed.ifname) sends TCP port \(flow.port) "
          + "elsewhere",
        remedy: "ethtool -N \(observed.ifname) delete \(rival.location), or take another port")
    }
    if !observed.picksLocations {
      let taken = Set(observed.rules.map(\.location)).union(journal.rules.compactMap(\.location))
      // From the end, as ethtool does: rules at the front are tried first.
      guard let free = (0..<(observed.ruleLocations ?? 0)).last(where: { !taken.contains($0) })
      else {
        throw NICPlanError(
          .refused, "\(observed.ifname) has no room for another n-tuple rule",
          remedy: "`ethtool -n \(observed.ifname)` lists them")
      }
      owned.location = free
    }
    journal.rules.append(owned)
    steps.append(.insertRule(owned))
  }
}
