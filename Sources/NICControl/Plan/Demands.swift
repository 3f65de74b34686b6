/// What the holders of an interface need its settings to be; settings that nobody cares about are
/// not in it.
struct Demands {
  private(set) var values: [NICSetting: NICSetting.Value] = [:]
  private let observed: NICObservation
  private let journal: NICJournal

  static let steering = NICSetting.feature("rx-ntuple-filter")

  init(_ observed: NICObservation, _ journal: NICJournal) throws(NICPlanError) {
    self.observed = observed
    self.journal = journal
    let wishes = journal.holders.map(\.wish)
    guard !wishes.isEmpty else { return }
    try channels(wishes)
    try features(wishes)
    try split()
    if let entries = wishes.compactMap(\.receiveRing).max(), observed.values[.receiveRing] != nil {
      values[.receiveRing] = [entries]
    }
    try indirection(wishes)
  }

  /// The setting as it was before anything was done to it, or as somebody else has set it since.
  func original(_ setting: NICSetting) -> NICSetting.Value? {
    guard let entry = journal.entry(setting), let now = observed.values[setting],
      NICPlan.isOurs(now, entry, observed)
    else { return observed.values[setting] }
    return entry.original
  }

  /// Whether the number of queues is not yet what it must be.
  var changesChannels: Bool {
    values[.channels].map { $0 != observed.values[.channels] } ?? false
  }

  private var ifname: String { observed.ifname }

  private mutating func channels(_ wishes: [NICWish]) throws(NICPlanError) {
    guard let last = wishes.flatMap(\.queues).max(), var counts = original(.channels) else {
      return
    }
    let there = NICObservation.receiveQueues(counts)
    guard there <= last else { return }
    let missing = last + 1 - there
    let most = observed.mostChannels
    // Queues are added where the device has its other ones.
    let kind = most.count == 4 && most[2] > 0 ? 2 : 0
    counts[kind] += missing
    guard most.count == 4, counts[kind] <= most[kind] else {
      throw NICPlanError(
        .usage,
        "\(ifname) has no receive queue \(last): it can have "
          + "\(NICObservation.receiveQueues(most)), numbered from 0",
        remedy: "`ethtool -l \(ifname)` shows them")
    }
    values[.channels] = counts
  }

  private mutating func features(_ wishes: [NICWish]) throws(NICPlanError) {
    var names = wishes.flatMap(\.features)
    // Its large receives are what it splits headers with.
    if observed.driver == "mlx5_core" { names.append("rx-gro-hw") }
    if wishes.contains(where: { !$0.flows.isEmpty }) {
      guard let steering = observed.values[Demands.steering],
        steering == [1] || observed.changeableFeatures.contains("rx-ntuple-filter")
      else {
        throw NICPlanError(
          .notSupported,
          "\(observed.title) has no n-tuple rules, so connections cannot be sent to a "
            + "queue",
          remedy: "another NIC, or `--engine copy` on this one")
      }
      names.append("rx-ntuple-filter")
    }
    for name in names where observed.values[.feature(name)] != nil { values[.feature(name)] = [1] }
  }

  private mutating func split() throws(NICPlanError) {
    guard observed.values[.tcpDataSplit] != nil else {
      throw NICPlanError(
        .notSupported,
        "\(observed.title) does not split headers from payload (tcp-data-split)",
        remedy: "another NIC or a newer driver; `--engine copy` works on this one")
    }
    values[.tcpDataSplit] = [2]
    if observed.values[.headerSplitThreshold] != nil { values[.headerSplitThreshold] = [0] }
  }

  /// Keeps all other traffic off the queues.
  private mutating func indirection(_ wishes: [NICWish]) throws(NICPlanError) {
    guard let table = original(.indirection), let channels = original(.channels) else { return }
    let before = NICObservation.receiveQueues(channels)
    let count = NICObservation.receiveQueues(values[.channels] ?? channels)
    let apart = Set(wishes.flatMap(\.queues))
    // With more queues the driver fills its own table anew.
    let predicted =
      count != before && IndirectionTable.isDefault(table, queues: before)
      ? IndirectionTable.equal(0..<count, size: table.count) : table
    guard !apart.isDisjoint(with: predicted) else { return }
    let used = Set(predicted).subtracting(apart)
    let others = used.isEmpty ? Set(0..<count).subtracting(apart) : used
    guard !others.isEmpty else {
      throw NICPlanError(
        .usage, "no queue of \(ifname) would be left for other traffic",
        remedy: "leave at least one of its \(count) queues out of --queue")
    }
    values[.indirection] = IndirectionTable.over(Array(others), size: table.count)
  }
}
