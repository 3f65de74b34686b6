import Glibc

extension NICJournal {
  /// Adds a wish and returns its number.
  mutating func add(_ wish: NICWish, isProcess: Bool) -> Int {
    let used = holders.map(\.number) + rules.map(\.holder) + contexts.map(\.holder)
    let number = (used.max() ?? 0) + 1
    holders.append(Holder(number: number, process: isProcess ? .own : nil, wish: wish))
    return number
  }

  /// As ``add(_:isProcess:)``; an administrator's same wish again is the one that is there, of
  /// which what is missing is made anew.
  mutating func take(
    _ wish: NICWish, isProcess: Bool, _ observed: NICObservation
  ) -> Int {
    let same = holders.first { $0.process == nil && $0.wish == wish }
    guard !isProcess, let same else { return add(wish, isProcess: isProcess) }
    let gone = rules.filter { $0.holder == same.number && location(of: $0, in: observed) == nil }
    rules.removeAll { gone.contains($0) }
    contexts.removeAll {
      $0.holder == same.number && observed.contexts[$0.number] != $0.table
    }
    return same.number
  }

  mutating func note(_ location: UInt32, of owned: OwnedRule) {
    guard let index = rules.firstIndex(of: owned) else { return }
    rules[index].location = location
    rules[index].isExpected = true
  }

  /// What is not as it was set up, as sentences.
  func drift(_ observed: NICObservation) -> [String] {
    var sentences: [String] = []
    for entry in entries.sorted(by: { $0.setting < $1.setting }) {
      guard let wanted = entry.written.last, let now = observed.values[entry.setting],
        now != wanted, !(wanted.isEmpty && NICPlan.isOurs(now, entry, observed))
      else { continue }
      sentences.append(
        "\(entry.setting.name) is \(entry.setting.text(now)); it was set to "
          + entry.setting.text(wanted))
    }
    for owned in rules where location(of: owned, in: observed) == nil {
      sentences.append("the n-tuple rule \(owned.rule.summary) is gone")
    }
    for owned in contexts where observed.contexts[owned.number] != owned.table {
      let now = observed.contexts[owned.number]
      sentences.append(
        "RSS context \(owned.number) is "
          + (now.map { "over \(IndirectionTable.text($0)) now" } ?? "gone"))
    }
    return sentences
  }
}

extension NICPlanError {
  /// A step that the kernel refused, in its own words.
  public init(_ error: NetlinkError, command: String? = nil) {
    let kind: Kind =
      switch error.errno {
      case EPERM, EACCES: .noPrivilege
      case ENODEV: .failed
      default: error.isNotSupported ? .notSupported : .refused
      }
    self.init(
      kind, error.description,
      remedy: kind == .noPrivilege
        ? "run as root, or with CAP_NET_ADMIN" : command.map { "the same by hand: \($0)" })
  }
}
