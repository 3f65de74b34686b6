/// What a NIC counts about header split, in bytes of payload: of the packets that it split, and of
/// those that it left whole.
///
/// There is no common counter: `ethtool -S` has it under the driver's own names, and most drivers
/// have none. Known here: mlx5_core (`rxN_hds_nosplit_bytes`; drivers/net/ethernet/mellanox/mlx5/
/// core/en_rx.c counts whole packets, non-TCP ones as well, so it is an upper bound) and zcnic.
public struct SplitStatistics: Equatable, Sendable {
  /// Nil where the driver does not count them.
  public var splitBytes: UInt64?
  public var unsplitBytes: UInt64

  /// The sum over `queues`, or over all where nil; nil where the driver counts no such thing.
  ///
  /// `driver` is the name that ETHTOOL_GDRVINFO gives.
  public init?(_ statistics: [DriverStatistic], driver: String, queues: [UInt32]?) {
    guard let names = SplitStatistics.names[driver] else { return nil }
    let unsplit = SplitStatistics.sum(statistics, suffix: names.unsplit, queues: queues)
    guard let unsplit else { return nil }
    unsplitBytes = unsplit
    splitBytes = names.split.flatMap {
      SplitStatistics.sum(statistics, suffix: $0, queues: queues)
    }
  }

  /// What was counted since `earlier`; nil where the counters were reset meanwhile, as they are
  /// with the driver.
  public func since(_ earlier: SplitStatistics) -> SplitStatistics? {
    guard unsplitBytes >= earlier.unsplitBytes else { return nil }
    var part = self
    part.unsplitBytes -= earlier.unsplitBytes
    if let now = splitBytes, let before = earlier.splitBytes {
      guard now >= before else { return nil }
      part.splitBytes = now - before
    }
    return part
  }

  /// Behind `rx` and the queue's number.
  private static let names: [String: (unsplit: String, split: String?)] = [
    "mlx5_core": ("_hds_nosplit_bytes", nil),
    "zcnic": ("_nosplit_bytes", "_split_bytes"),
  ]

  private static func sum(
    _ statistics: [DriverStatistic], suffix: String, queues: [UInt32]?
  ) -> UInt64? {
    var sum: UInt64 = 0
    var found = 0
    for one in statistics where one.name.hasPrefix("rx") && one.name.hasSuffix(suffix) {
      guard let queue = UInt32(one.name.dropFirst(2).dropLast(suffix.count)) else { continue }
      if let queues, !queues.contains(queue) { continue }
      sum &+= one.value
      found += 1
    }
    if let queues { return found == queues.count ? sum : nil }
    return found > 0 ? sum : nil
  }
}

extension NICAccess {
  /// The driver's name and what it counts about header split.
  ///
  /// - Cost: four ioctls; some drivers ask their firmware for their counters.
  public func splitStatistics(
    of link: Link, queues: [UInt32]?
  ) throws(NetlinkError) -> SplitStatistics? {
    let driver = try driver(of: link).driver
    return SplitStatistics(try driverStatistics(of: link), driver: driver, queues: queues)
  }
}
