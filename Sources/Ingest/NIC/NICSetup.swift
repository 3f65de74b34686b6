public import NICControl
import Synchronization

/// The interface of a receiver, set up for it and put back afterwards.
///
/// Header split and its threshold, channels, n-tuple steering of the listening port, and an
/// indirection table that keeps other traffic off the queues. What is changed is noted on disk
/// first (``NICTransaction``), so that a killed process leaves nothing for good.
public final class NICSetup: Sendable {
  // A transaction is for one thread at a time.
  private let transaction: Mutex<Box>
  public let ifname: String
  /// Who puts it back where this process may not do so itself.
  private let keeper = Mutex<NICKeeper?>(nil)
  /// What was changed, and what somebody else had changed of what was undone before.
  public let plan: NICPlan

  private struct Box: @unchecked Sendable {
    let value: NICTransaction
    let follower: NICFollower
  }

  /// Sets the interface up, and undoes what killed processes left there.
  ///
  /// - Parameters:
  ///   - forProcess: whether it ends with this process, at the latest.
  ///   - tell: called with each step before it is taken.
  public init(
    _ ifname: String, _ wish: NICWish, force: Bool = false, forProcess: Bool = true,
    tell: @escaping (String) -> Void = { _ in }
  ) throws(IngestError) {
    self.ifname = ifname
    do throws(NICPlanError) {
      let (access, link) = try NICSetup.open(ifname)
      try NICSetup.checkSafety(wish, access, link, force: force)
      let transaction = NICTransaction(access, link, tell: tell)
      let plan = try transaction.acquire(wish, forProcess: forProcess)
      self.plan = plan
      self.transaction = Mutex(Box(value: transaction, follower: NICFollower(link, transaction)))
    } catch {
      throw IngestError(error)
    }
  }

  /// Puts everything back that nobody else needs. Returns what stays, as sentences: somebody else
  /// has changed it since.
  ///
  /// The queues must have been let go of; this waits up to five seconds for the kernel to do so.
  public func undo() throws(IngestError) -> [String] {
    if let keeper = keeper.withLock({ $0.take() }) { return try keeper.undo() }
    let result = transaction.withLock { box -> Result<[String], NICPlanError> in
      Result { () throws(NICPlanError) in try box.value.release() }
    }
    do throws(NICPlanError) {
      return try result.get().map { "\(ifname): \($0)" }
    } catch {
      throw NICSetup.notRestored(ifname, error.what)
    }
  }

  static func notRestored(_ ifname: String, _ why: String) -> IngestError {
    IngestError(
      .notRestored, "\(ifname) is not as it was: \(why)",
      remedy: "`ingest nic restore --ifname \(ifname)` tries again")
  }

  /// What ``news()`` reads besides its sockets.
  var readable: [String] { NICTransaction.readable }

  /// What happened at the interface since the last call, each said once: settings that somebody
  /// else has changed, and what became of the link.
  ///
  /// - Cost: two system calls; some 10 netlink requests when the kernel told of a change, and once
  ///   a second, because it does not tell of n-tuple rules.
  public func news() -> [NICNews] {
    let gone = keeper.withLock { $0?.news() }
    return transaction.withLock { $0.follower.news() } + [gone].compactMap { $0 }
  }

  /// Has a process of its own put the interface back, when it is told to or this one has ended,
  /// however that came. From then on this one needs no right for it.
  ///
  /// Errors: it could not be started.
  func handOver() throws(IngestError) {
    guard let holder = transaction.withLock({ $0.value.holder }) else { return }
    let made = try NICKeeper(ifname, holder: holder)
    keeper.withLock { $0 = made }
  }

  /// What was changed, as sentences.
  public var remarks: [String] {
    plan.kept.map { "\(ifname): \($0)" } + plan.steps.map { "\(ifname): \($0.text)" }
  }

  // MARK: What the commands share

  /// An interface as it is, and what is noted about it.
  public struct Shown: Sendable {
    public var observed: NICObservation
    public var journal: NICJournal
  }

  /// Reads the settings; nothing is changed.
  public static func show(_ ifname: String) throws(IngestError) -> Shown {
    do throws(NICPlanError) {
      let (access, link) = try open(ifname)
      let journal = try NICTransaction(access, link).journal()
      do throws(NetlinkError) {
        return Shown(observed: try access.observe(link), journal: journal)
      } catch {
        throw NICPlanError(error)
      }
    } catch {
      throw IngestError(error)
    }
  }

  /// The plan for a wish; nothing is changed.
  public static func plan(
    _ ifname: String, _ wish: NICWish, force: Bool = false
  ) throws(IngestError) -> NICPlan {
    do throws(NICPlanError) {
      let (access, link) = try open(ifname)
      try checkSafety(wish, access, link, force: force)
      return try NICTransaction(access, link).plan(wish)
    } catch {
      throw IngestError(error)
    }
  }

  /// Undoes what dead processes left, and what `ingest nic apply` has done where `everything` is
  /// said. Returns what stays; nil where nothing was noted.
  public static func restore(
    _ ifname: String, everything: Bool, tell: @escaping (String) -> Void
  ) throws(IngestError) -> [String]? {
    do throws(NICPlanError) {
      let (access, link) = try open(ifname)
      return try NICTransaction(access, link, tell: tell).restore(everything: everything)
    } catch {
      throw IngestError(error)
    }
  }

  /// What a receiver on this interface has steered to its queues: a port at each of its addresses;
  /// at all, where it has none.
  public static func flows(
    _ ifname: String, port: UInt16, family: AddressFamily
  ) -> [NICWish.Flow] {
    var configuration = ReceiveConfiguration()
    (configuration.ifname, configuration.port) = (ifname, port)
    configuration.family = family
    if let places = try? ListenPlaces(configuration) { return places.flows(family) }
    return [
      family == .ipv6 ? nil : NICWish.Flow(port: port, isIPv6: false),
      family == .ipv4 ? nil : NICWish.Flow(port: port, isIPv6: true),
    ].compactMap { $0 }
  }

  private static func open(_ ifname: String) throws(NICPlanError) -> (NICAccess, Link) {
    do throws(NetlinkError) {
      let access = try NICAccess()
      return (access, try access.link(named: ifname))
    } catch {
      throw NICPlanError(error)
    }
  }

  private static func checkSafety(
    _ wish: NICWish, _ access: NICAccess, _ link: Link, force: Bool
  ) throws(NICPlanError) {
    guard !force else { return }
    let observed: NICObservation
    do throws(NetlinkError) {
      observed = try access.observe(link)
    } catch {
      throw NICPlanError(error)
    }
    // What cannot be done at all is said first.
    _ = try NICTransaction(access, link).plan(wish)
    let refusal = NICSafety.refusal(
      wish, observed, carriesDefaultRoute: NICSafety.carriesDefaultRoute(link.name))
    if let refusal { throw refusal }
  }
}

extension IngestError {
  init(_ error: NICPlanError) {
    let kind: Kind =
      switch error.kind {
      case .usage: .usage
      case .notSupported: .notSupported
      case .refused: .refusedByKernel
      case .noPrivilege: .noPrivilege
      case .failed: .failed
      }
    self.init(kind, error.what, remedy: error.remedy)
  }
}
