import Glibc

// Changes of indirection tables and RSS contexts: netlink since Linux 6.17, before that the ethtool
// ioctl. Both need CAP_NET_ADMIN.
extension NICAccess {
  /// How a change is asked for; tests choose.
  enum ScalingWay { case netlink, ioctl }

  /// Sets the main indirection table (`ethtool -X`): as many entries as it has, or a divisor of
  /// that. An empty one is the driver's own choice: queue i modulo their number. The key stays.
  /// Errors: EINVAL for a queue that there is not.
  public func setIndirection(_ table: [UInt32], of link: Link) throws(NetlinkError) {
    do throws(NetlinkError) {
      try setIndirection(table, of: link, by: .netlink)
    } catch {
      guard error.errno == EOPNOTSUPP else { throw error }
      try setIndirection(table, of: link, by: .ioctl)
    }
  }

  func setIndirection(
    _ table: [UInt32], of link: Link, by way: ScalingWay
  ) throws(NetlinkError) {
    let what = "set the indirection table of \(link.name)"
    switch way {
    case .netlink:
      try ethtool().change(ScalingNumber.set, what) {
        Ethtool.header(link)(&$0)
        $0.add(ScalingNumber.indirection, bytes: table.flatMap { littleEndianBytes(of: $0) })
      }
    case .ioctl:
      var full = table
      if !table.isEmpty {
        let size = try receiveSideScaling(of: link).indirection.count
        full = (0..<size).map { table[$0 % table.count] }
      }
      _ = try scalingCall(what, link, context: 0, table: full)
    }
  }

  /// Makes an RSS context with a table of its own (`ethtool -X … context new`) and returns its
  /// number. `wanted` is the number to give it, where the kernel lets one choose (6.17).
  public func createContext(
    _ table: [UInt32], wanted: UInt32?, of link: Link
  ) throws(NetlinkError) -> UInt32 {
    do throws(NetlinkError) {
      return try createContext(table, wanted: wanted, of: link, by: .netlink)
    } catch {
      guard error.errno == EOPNOTSUPP else { throw error }
      return try createContext(table, wanted: wanted, of: link, by: .ioctl)
    }
  }

  func createContext(
    _ table: [UInt32], wanted: UInt32?, of link: Link, by way: ScalingWay
  ) throws(NetlinkError) -> UInt32 {
    let what = "make an RSS context of \(link.name)"
    switch way {
    case .netlink:
      let made: ReceiveSideScaling = try ethtool().get(ScalingNumber.create, what) {
        Ethtool.header(link)(&$0)
        if let wanted { $0.add(ScalingNumber.context, wanted) }
        $0.add(ScalingNumber.indirection, bytes: table.flatMap { littleEndianBytes(of: $0) })
      }
      return made.context
    case .ioctl:
      return try scalingCall(what, link, context: ScalingLayout.newContext, table: table)
    }
  }

  /// Deletes an RSS context. The error is EBUSY while an n-tuple rule leads to it.
  public func deleteContext(_ context: UInt32, of link: Link) throws(NetlinkError) {
    do throws(NetlinkError) {
      try deleteContext(context, of: link, by: .netlink)
    } catch {
      guard error.errno == EOPNOTSUPP else { throw error }
      try deleteContext(context, of: link, by: .ioctl)
    }
  }

  func deleteContext(
    _ context: UInt32, of link: Link, by way: ScalingWay
  ) throws(NetlinkError) {
    let what = "delete RSS context \(context) of \(link.name)"
    switch way {
    case .netlink:
      try ethtool().change(ScalingNumber.delete, what) {
        Ethtool.header(link)(&$0)
        $0.add(ScalingNumber.context, context)
      }
    case .ioctl:
      // A context without a table is one that goes.
      _ = try scalingCall(what, link, context: context, table: [])
    }
  }

  /// ETHTOOL_SRSSH; returns the number of the context.
  private func scalingCall(
    _ what: String, _ link: Link, context: UInt32, table: [UInt32]
  ) throws(NetlinkError) -> UInt32 {
    var command = [UInt8](repeating: 0, count: ScalingLayout.size)
    func put(_ value: UInt32, at offset: Int) {
      command.replaceSubrange(offset..<offset + 4, with: littleEndianBytes(of: value))
    }
    put(ScalingLayout.set, at: 0)
    put(context, at: ScalingLayout.context)
    put(UInt32(table.count), at: ScalingLayout.tableSize)
    // What the fields to be hashed are made into before stays as it is.
    command[ScalingLayout.inputTransformation] = ScalingLayout.noChange
    command += table.flatMap { littleEndianBytes(of: $0) }
    try unsafe ioctl.call(what, link, unsafeCommand: &command)
    return command[...].number(at: ScalingLayout.context) ?? context
  }
}

/// struct ethtool_rxfh of include/uapi/linux/ethtool.h.
private enum ScalingLayout {
  static let set: UInt32 = 0x47  // ETHTOOL_SRSSH
  static let newContext: UInt32 = .max  // ETH_RXFH_CONTEXT_ALLOC
  static let context = 4
  static let tableSize = 8
  static let inputTransformation = 17
  static let noChange: UInt8 = 0xff  // RXH_XFRM_NO_CHANGE
  static let size = 24
}
