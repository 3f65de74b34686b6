import NICControl
import Synchronization

/// Reads what the NIC counts about header split while a receiver runs, as evidence for how its
/// bytes came into the area.
final class TruthMeter: Sendable {
  private struct State: @unchecked Sendable {
    // Nil where there is no NIC, or none whose counters are known.
    var counts: Counts?
    /// Connections may have come by other queues, so those count as well.
    var steeringHolds: Bool
  }

  private struct Counts {
    let access: NICAccess
    let link: Link
    let queues: [UInt32]
    let ours: SplitStatistics
    let all: SplitStatistics
  }

  private let state: Mutex<State>
  private let ifname: String
  private let driver: String
  private let threshold: UInt32?

  /// Notes the NIC's counters as they are. Nil without a NIC's queue.
  init?(_ configuration: ReceiveConfiguration, _ plan: EnginePlan) {
    guard case .zeroCopy(_, let queues) = plan.engine, let ifname = configuration.ifname,
      let access = try? NICAccess(), let link = try? access.link(named: ifname)
    else { return nil }
    self.ifname = ifname
    driver = (try? access.driver(of: link).driver) ?? "without a name"
    threshold = (try? access.rings(of: link))?.headerSplitThreshold
    var counts: Counts?
    if let ours = try? access.splitStatistics(of: link, queues: queues),
      let all = try? access.splitStatistics(of: link, queues: nil)
    {
      counts = Counts(access: access, link: link, queues: queues, ours: ours, all: all)
    }
    state = Mutex(State(counts: counts, steeringHolds: configuration.nic == .apply))
  }

  /// Somebody has changed the NIC: from now on packets may come by other queues.
  func steeringChanged() { state.withLock { $0.steeringHolds = false } }

  /// Bytes of payload that the NIC left whole, and that it split, since the start; nil where it
  /// does not say.
  ///
  /// - Cost: four ioctls.
  func read() -> (unsplit: UInt64?, split: UInt64?) {
    state.withLock { state in
      guard let counts = state.counts else { return (nil, nil) }
      let queues = state.steeringHolds ? counts.queues : nil
      let now = try? counts.access.splitStatistics(of: counts.link, queues: queues)
      let part = now?.since(state.steeringHolds ? counts.ours : counts.all)
      return (part?.unsplitBytes, part?.splitBytes)
    }
  }

  private var isCounted: Bool { state.withLock { $0.counts != nil } }

  /// Why bytes were copied, or may have been.
  func hints(_ truth: ByteTruth) -> [String] {
    var hints: [String] = []
    if truth.copiedFragment > 0 {
      hints.append(
        "\(truth.copiedFragment) bytes lay in pages that are not of the area: they came by another "
          + "queue or interface, or before the n-tuple rule; `ethtool -n \(ifname)` and "
          + "`ethtool -x \(ifname)` show the steering")
    }
    if truth.copiedLinear > 0 || truth.unknown > 0 && isCounted {
      let small = threshold.map { $0 > 0 ? " of up to \($0) bytes (hds-thresh)" : "" } ?? ""
      hints.append(
        "\(ifname) left packets\(small) whole that held "
          + "\(truth.copiedLinear + truth.unknown) bytes: `ethtool -g \(ifname)` shows "
          + "tcp-data-split and hds-thresh; headers with options that the NIC does not know are "
          + "not split either")
    } else if truth.unknown > 0 {
      hints.append(
        "driver \(driver) does not count what it leaves unsplit, so \(truth.unknown) bytes that "
          + "lie at the beginning of a buffer may have been copied")
    }
    return hints
  }
}

extension Receiver {
  /// Why bytes were copied, or may have been, as sentences; empty where all are zero-copy.
  public func copyHints(_ truth: ByteTruth) -> [String] { truthMeter?.hints(truth) ?? [] }
}
