import Glibc

/// A counter that only the driver knows, by the driver's own name (`ethtool -S`).
public struct DriverStatistic: Equatable, Sendable {
  public var name: String
  public var value: UInt64
}

/// Commands and structures of include/uapi/linux/ethtool.h.
private enum StatisticsLayout {
  static let getSetInfo: UInt32 = 0x37  // struct ethtool_sset_info
  static let getStrings: UInt32 = 0x1b  // struct ethtool_gstrings
  static let getStatistics: UInt32 = 0x1d  // struct ethtool_stats
  static let setStatistics: UInt32 = 1  // ETH_SS_STATS
  static let setInfoHeader = 16
  static let stringsHeader = 12
  static let statisticsHeader = 8
  static let nameSize = 32
  /// Kernels before 6.19 write as many entries as the driver has by then, whatever the caller made
  /// room for; no driver's number grows by this much between two calls.
  static let slack = 1024
  /// Far more than any driver has; a count beyond it is no count.
  static let most: UInt32 = 1 << 20
}

extension NICAccess {
  /// All counters of the driver, in its order. The error is EOPNOTSUPP where it has none.
  ///
  /// - Cost: three ioctls; some drivers ask their firmware, which takes milliseconds.
  public func driverStatistics(of link: Link) throws(NetlinkError) -> [DriverStatistic] {
    let what = "read the driver statistics of \(link.name)"
    // Drivers add and drop counters when queues come and go.
    for _ in 0..<3 {
      let count = try statisticsCount(what, link)
      let names = try statisticsAnswer(
        what, link, command: StatisticsLayout.getStrings, count: count,
        entry: StatisticsLayout.nameSize)
      let values = try statisticsAnswer(
        what, link, command: StatisticsLayout.getStatistics, count: count, entry: 8)
      if let statistics = DriverStatistic.joined(names: names, values: values, count: count) {
        return statistics
      }
    }
    throw NetlinkError(what, errno: EAGAIN, message: "the number of counters keeps changing")
  }

  private func statisticsCount(_ what: String, _ link: Link) throws(NetlinkError) -> Int {
    var command = littleEndianBytes(of: StatisticsLayout.getSetInfo) + [0, 0, 0, 0]
    command += littleEndianBytes(of: UInt64(1) << StatisticsLayout.setStatistics)
    command += [0, 0, 0, 0]
    try unsafe ioctl.call(what, link, unsafeCommand: &command)
    // The mask comes back with the bits of the sets that there are, one count for each.
    guard command[...].number(at: 8, as: UInt64.self) != 0,
      let count: UInt32 = command[...].number(at: StatisticsLayout.setInfoHeader)
    else { throw NetlinkError(what, errno: EOPNOTSUPP) }
    guard count <= StatisticsLayout.most else {
      throw NetlinkError(what, malformed: MalformedMessage("a driver with \(count) counters"))
    }
    return Int(count)
  }

  private func statisticsAnswer(
    _ what: String, _ link: Link, command number: UInt32, count: Int, entry: Int
  ) throws(NetlinkError) -> [UInt8] {
    var command = littleEndianBytes(of: number)
    if number == StatisticsLayout.getStrings {
      command += littleEndianBytes(of: StatisticsLayout.setStatistics)
    }
    command += littleEndianBytes(of: UInt32(count))
    command += [UInt8](repeating: 0, count: (count + StatisticsLayout.slack) * entry)
    try unsafe ioctl.call(what, link, unsafeCommand: &command)
    return command
  }
}

extension DriverStatistic {
  /// Joins the answers to both commands; nil when either is not about `count` counters.
  static func joined(names: [UInt8], values: [UInt8], count: Int) -> [DriverStatistic]? {
    guard names[...].number(at: 8, as: UInt32.self) == UInt32(count),
      values[...].number(at: 4, as: UInt32.self) == UInt32(count)
    else { return nil }
    var statistics: [DriverStatistic] = []
    for index in 0..<count {
      let at = StatisticsLayout.stringsHeader + index * StatisticsLayout.nameSize
      let name = names.dropFirst(at).prefix(StatisticsLayout.nameSize)
      let offset = StatisticsLayout.statisticsHeader + index * 8
      guard let value: UInt64 = values[...].number(at: offset) else { return nil }
      statistics.append(
        DriverStatistic(
          name: String(decoding: name.prefix { $0 != 0 }, as: UTF8.self), value: value))
    }
    return statistics
  }
}
