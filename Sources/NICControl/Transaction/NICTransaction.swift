import Glibc

/// Changes of one interface that are undone: planned as a whole, noted on disk before the first,
/// read back one by one, and taken back when nobody needs them any more.
///
/// Several processes may have one on an interface; each setting stays as long as one of them needs
/// it. What a killed process left is undone by the next that comes, or by `ingest nic restore`.
/// Not for several threads at a time.
public final class NICTransaction {
  private let access: NICAccess
  public let link: Link
  private let directory: String
  /// This one's number in the journal; nil before ``acquire(_:forProcess:)`` and after a release.
  public private(set) var holder: Int?
  /// Told before and while steps are taken.
  private let tell: (String) -> Void

  /// - Parameter directory: where journals are; nil is the usual place.
  public init(
    _ access: NICAccess, _ link: Link, directory: String? = nil,
    tell: @escaping (String) -> Void = { _ in }
  ) {
    self.access = access
    self.link = link
    // Where it is now: another user has another.
    self.directory = directory ?? JournalStore.directory()
    self.tell = tell
  }

  /// Files and directories that ``drift()`` reads.
  public static var readable: [String] {
    [JournalStore.directory(), "/proc/sys/kernel/random/boot_id"]
  }

  /// The plan for a wish, without taking it up.
  public func plan(_ wish: NICWish) throws(NICPlanError) -> NICPlan {
    let observed = try observe()
    var journal = try journal()
    journal.holders.removeAll { !($0.process?.isAlive ?? true) }
    _ = journal.take(wish, isProcess: false, observed)
    return try NICPlan(observed, journal, .acquire)
  }

  /// Sets the interface up for a wish. Where a step fails, those before it are undone and the error
  /// says which.
  ///
  /// - Parameter forProcess: whether the wish ends with this process; else it holds until
  ///   ``restore(everything:)``.
  /// - Returns: the steps that were taken, and what somebody else had changed of what was undone
  ///   for processes that are gone.
  public func acquire(
    _ wish: NICWish, forProcess: Bool = true
  ) throws(NICPlanError) -> NICPlan {
    let store = try JournalStore(link, directory: directory)
    let kept = try releaseDead(store)
    var journal = try self.journal()
    let observed = try observe()
    let number = journal.take(wish, isProcess: forProcess, observed)
    var plan = try NICPlan(observed, journal, .acquire)
    // Nothing is noted that could not be undone either.
    guard plan.steps.isEmpty || RegistrationHost.current().hasNetAdmin else {
      throw NICPlanError(
        .noPrivilege, "changing the settings of \(link.name) needs CAP_NET_ADMIN",
        remedy: "run as root, or leave the NIC as it is with --nic keep")
    }
    do throws(NICPlanError) {
      try take(plan.steps, &plan.journal, store)
    } catch {
      throw undone(number, store, after: error)
    }
    holder = number
    plan.kept += kept
    return plan
  }

  /// Makes a wish of another process this one's to release.
  public func adopt(holder number: Int) { holder = number }

  /// Undoes what only this transaction's wish needed. Returns what somebody else has changed since,
  /// which stays.
  public func release() throws(NICPlanError) -> [String] {
    guard let number = holder else { return [] }
    let store = try JournalStore(link, directory: directory)
    let kept = try releaseDead(store) + release(number, store)
    holder = nil
    return kept
  }

  /// Undoes what dead processes left, and administrators' wishes too where `everything` is said.
  /// Returns what stays since somebody else has changed it; nil where nothing was noted.
  public func restore(everything: Bool) throws(NICPlanError) -> [String]? {
    let store = try JournalStore(link, directory: directory)
    var journal = try self.journal()
    guard !journal.isEmpty else { return nil }
    var kept = try releaseDead(store)
    journal = try self.journal()
    if everything {
      for holder in journal.holders where holder.process == nil {
        kept += try release(holder.number, store)
      }
    }
    // What stays is seen anew by each who undoes something.
    var seen: Set<String> = []
    return kept.filter { seen.insert($0).inserted }
  }

  /// What is not as it was set up, as sentences; empty where all is.
  public func drift() throws(NICPlanError) -> [String] {
    try journal().drift(try observe())
  }

  /// Who has wishes, and what was changed for them.
  public func journal() throws(NICPlanError) -> NICJournal {
    try JournalStore.read(link, directory: directory)
      ?? NICJournal(boot: SystemFiles.boot, ifname: link.name, interface: link.index)
  }

  // MARK: -

  /// Takes a wish back that could not be met; the error says so where that fails as well.
  private func undone(
    _ number: Int, _ store: JournalStore, after error: NICPlanError
  ) -> NICPlanError {
    do throws(NICPlanError) {
      _ = try release(number, store)
      return error
    } catch let second {
      return NICPlanError(
        error.kind, "\(error.what); undoing what was done before failed, too: \(second.what)",
        remedy: "`ingest nic restore --ifname \(link.name)` tries again")
    }
  }

  private func observe() throws(NICPlanError) -> NICObservation {
    do throws(NetlinkError) {
      return try access.observe(link)
    } catch {
      throw NICPlanError(error)
    }
  }

  /// Takes the wishes of dead processes back.
  private func releaseDead(_ store: JournalStore) throws(NICPlanError) -> [String] {
    var kept: [String] = []
    var journal = try self.journal()
    let dead = journal.holders.filter { !($0.process?.isAlive ?? true) }
    for holder in dead {
      tell(
        "undoing at \(link.name) what process \(holder.process?.identifier ?? 0) left when it ended"
      )
      kept += try release(holder.number, store)
    }
    // One that was killed while it undid has no wish any more.
    journal = try self.journal()
    if dead.isEmpty && !journal.isEmpty { kept += try converge(journal, store) }
    return kept
  }

  private func release(_ number: Int, _ store: JournalStore) throws(NICPlanError) -> [String] {
    var journal = try self.journal()
    for holder in journal.holders where holder.number == number { awaitRelease(of: holder) }
    journal.holders.removeAll { $0.number == number }
    return try converge(journal, store)
  }

  /// The kernel lets go of a queue some time after its ring has gone, and refuses to take the split
  /// away before.
  private func awaitRelease(of holder: NICJournal.Holder) {
    for queue in holder.wish.queues {
      let watch = QueueWatch(access, interface: link.index, queue: queue)
      _ = try? watch.waitUntilFree(within: NICTransaction.patience)
    }
  }

  /// Nanoseconds; the kernel's own tests allow five seconds.
  private static let patience: UInt64 = 5_000_000_000

  private func converge(
    _ journal: NICJournal, _ store: JournalStore
  ) throws(NICPlanError) -> [String] {
    var plan = try NICPlan(try observe(), journal, .release)
    try take(plan.steps, &plan.journal, store)
    try store.save(plan.settled(plan.journal))
    return plan.kept
  }

  /// Notes the plan, then takes its steps, each read back.
  private func take(
    _ steps: [NICStep], _ journal: inout NICJournal, _ store: JournalStore
  ) throws(NICPlanError) {
    try store.save(journal)
    for step in steps {
      tell(step.text)
      let location: UInt32?
      do throws(NetlinkError) {
        location = try access.take(step, link)
      } catch {
        throw NICPlanError(error, command: step.command(link.name))
      }
      if let location, case .insertRule(let owned) = step {
        journal.note(location, of: owned)
        try store.save(journal)
      }
      try verify(step)
    }
  }

  private func verify(_ step: NICStep) throws(NICPlanError) {
    let now = try observe()
    let isSo: Bool =
      switch step {
      case .set(let setting, _, let to):
        now.values[setting] == to
          || to.isEmpty
            && IndirectionTable.isDefault(
              now.values[setting] ?? [], queues: now.receiveQueues)
      case .createContext(let owned): now.contexts[owned.number] == owned.table
      case .insertRule(let owned): now.rules.contains { owned.rule.isSame(as: $0) }
      case .deleteRule(let location, let rule):
        !now.rules.contains { $0.location == location && rule.isSame(as: $0) }
      case .deleteContext(let number): now.contexts[number] == nil
      }
    guard isSo else {
      throw NICPlanError(
        .refused, "\(link.name) did not take \(step.text), though the kernel said so",
        remedy: step.command(link.name).map { "`\($0)` may tell more" })
    }
  }
}
