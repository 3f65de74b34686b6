// Taking one step of a plan.
extension NICAccess {
  /// Returns the location of a rule that was inserted.
  func take(_ step: NICStep, _ link: Link) throws(NetlinkError) -> UInt32? {
    switch step {
    case .set(let setting, _, let to): try set(setting, to, link)
    case .createContext(let owned):
      let made = try createContext(owned.table, wanted: owned.number, of: link)
      guard made == owned.number else {
        // Before Linux 6.17 the number cannot be chosen; what is noted must be what there is.
        try deleteContext(made, of: link)
        throw NetlinkError(
          "make RSS context \(owned.number) of \(link.name)", errno: 95,
          message: "this kernel chose \(made); Linux 6.17 takes a number")
      }
    case .insertRule(let owned):
      var rule = owned.rule
      rule.location = owned.location ?? FlowRule.anyLocation
      return try insert(rule, on: link)
    case .deleteRule(let location, _): try deleteRule(at: location, of: link)
    case .deleteContext(let number): try deleteContext(number, of: link)
    }
    return nil
  }

  private func set(
    _ setting: NICSetting, _ value: NICSetting.Value, _ link: Link
  ) throws(NetlinkError) {
    switch setting {
    case .channels:
      if let counts = Channels.Counts(value: value) { try setChannels(counts, of: link) }
    case .feature(let name): try setFeature(name, value != [0], of: link)
    case .tcpDataSplit:
      let split = value.first.flatMap { Rings.TCPDataSplit(rawValue: UInt8(clamping: $0)) }
      try setRings(RingChanges(tcpDataSplit: split ?? .unknown), of: link)
    case .headerSplitThreshold:
      try setRings(RingChanges(headerSplitThreshold: value.first), of: link)
    case .receiveRing: try setRings(RingChanges(receive: value.first), of: link)
    case .indirection: try setIndirection(value, of: link)
    }
  }
}
