/// What was changed at an interface, for whom, and what it was before. Written to disk before the
/// first change, so that whoever comes next can put things back for a process that was killed.
public struct NICJournal: Codable, Equatable, Sendable {
  public static let currentVersion = 1

  public var version = NICJournal.currentVersion
  /// /proc/sys/kernel/random/boot_id: settings do not outlive a boot.
  public var boot: String
  public var ifname: String
  public var interface: UInt32
  public var entries: [Entry] = []
  public var holders: [Holder] = []
  public var contexts: [OwnedContext] = []
  public var rules: [OwnedRule] = []

  public init(boot: String, ifname: String, interface: UInt32) {
    self.boot = boot
    self.ifname = ifname
    self.interface = interface
  }

  /// A setting that was changed.
  public struct Entry: Codable, Equatable, Sendable {
    public var setting: NICSetting
    public var original: NICSetting.Value
    /// What was written or is about to be, the newest last. An empty table stands for any that the
    /// driver fills in by itself.
    public var written: [NICSetting.Value]

    /// Its values, where they are about queues.
    fileprivate var queues: [NICSetting.Value] {
      setting == .channels || setting == .indirection ? [original] + written : []
    }
  }

  /// Who wants something of the interface.
  public struct Holder: Codable, Equatable, Sendable {
    public var number: Int
    /// The process, and when it started (/proc/PID/stat, field 22); nil is an administrator, whose
    /// wish holds until it is taken back.
    public var process: Process?
    public var wish: NICWish

    public struct Process: Codable, Equatable, Sendable {
      public var identifier: Int32
      public var started: UInt64
    }
  }

  public struct OwnedContext: Codable, Equatable, Sendable {
    public var holder: Int
    public var number: UInt32
    public var table: [UInt32]
  }

  public struct OwnedRule: Codable, Equatable, Sendable {
    public var holder: Int
    public var flow: NICWish.Flow
    public var queue: UInt32?
    public var context: UInt32?
    /// Nil until the driver has picked one.
    public var location: UInt32?
    /// It was there once, and is not about to be deleted by us: if it is gone, somebody else did
    /// that.
    public var isExpected = false

    var rule: FlowRule { FlowRule(flow, queue: queue, context: context) }
  }

  public var isEmpty: Bool {
    entries.isEmpty && holders.isEmpty && contexts.isEmpty && rules.isEmpty
  }

  /// Whether its numbers are some that this program writes: planning counts on from them.
  var isSound: Bool {
    let numbers = holders.map(\.number) + contexts.map(\.holder) + rules.map(\.holder)
    let tables = contexts.map(\.table) + entries.flatMap(\.queues)
    let queues = holders.flatMap(\.wish.queues) + rules.compactMap(\.queue) + tables.joined()
    return numbers.allSatisfy { 0...1 << 30 ~= $0 }
      && queues.allSatisfy { $0 < NICObservation.mostQueues }
  }

  func entry(_ setting: NICSetting) -> Entry? { entries.first { $0.setting == setting } }

  func isLive(_ holder: Int) -> Bool { holders.contains { $0.number == holder } }

  /// Who else needs a rule whose holder has gone: the same connections at the same queues.
  func heir(of owned: OwnedRule) -> Int? {
    let table = owned.context.flatMap { number in contexts.first { $0.number == number }?.table }
    return holders.first { holder in
      guard holder.wish.flows.contains(owned.flow) else { return false }
      if let queue = owned.queue { return holder.wish.queues == [queue] }
      return table.map { Set($0) == Set(holder.wish.queues) } ?? false
    }?.number
  }

  /// Where an owned rule stands now; nil where it is gone. One whose location is not noted was
  /// inserted by a process that died before it could: as no such rule was there, it is that one.
  func location(of owned: OwnedRule, in observed: NICObservation) -> UInt32? {
    let noted = observed.rules.first { rule in
      owned.location.map { $0 == rule.location } ?? true && owned.rule.isSame(as: rule)
    }
    return noted?.location
  }
}
