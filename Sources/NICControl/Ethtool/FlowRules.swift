import Glibc

/// struct ethtool_rxnfc of include/uapi/linux/ethtool.h.
private enum RuleLayout {
  static let getCount: UInt32 = 0x2e  // ETHTOOL_GRXCLSRLCNT
  static let getRule: UInt32 = 0x2f  // ETHTOOL_GRXCLSRULE
  static let getAll: UInt32 = 0x30  // ETHTOOL_GRXCLSRLALL
  static let delete: UInt32 = 0x31  // ETHTOOL_SRXCLSRLDEL
  static let insert: UInt32 = 0x32  // ETHTOOL_SRXCLSRLINS
  static let size = 192
  static let data = 8
  static let specification = 16
  /// The number of rules; in answers about one rule its RSS context.
  static let count = 184
  static let locations = 188
  static let picksLocations: UInt64 = 0x8000_0000  // RX_CLS_LOC_SPECIAL
  /// Far more than any NIC has; a count beyond it is no count.
  static let most: UInt32 = 1 << 20
}

/// What the answers about the number of rules and about their locations say.
struct FlowRuleList: Equatable {
  let locations: [UInt32]
  /// 0 where the driver does not tell.
  let capacity: UInt32
  let picksLocations: Bool

  init(counted: [UInt8], listed: [UInt8]) throws(MalformedMessage) {
    guard let data: UInt64 = counted[...].number(at: RuleLayout.data),
      let size: UInt64 = listed[...].number(at: RuleLayout.data),
      let count: UInt32 = listed[...].number(at: RuleLayout.count)
    else { throw MalformedMessage("an answer of \(listed.count) bytes about n-tuple rules") }
    // The kernel lists as many as there was room for, which is as many as were counted.
    let found = min(count, try FlowRuleList.count(counted))
    let bytes = listed.dropFirst(RuleLayout.locations).prefix(Int(found) * 4)
    guard bytes.count == Int(found) * 4, let words = bytes.words else {
      throw MalformedMessage("\(bytes.count) bytes with the locations of \(found) n-tuple rules")
    }
    locations = words
    capacity = UInt32(truncatingIfNeeded: size & ~RuleLayout.picksLocations)
    picksLocations = data & RuleLayout.picksLocations != 0
  }

  /// How many rules there are.
  static func count(_ counted: [UInt8]) throws(MalformedMessage) -> UInt32 {
    guard let count: UInt32 = counted[...].number(at: RuleLayout.count), count <= RuleLayout.most
    else { throw MalformedMessage("an answer about the number of n-tuple rules without one") }
    return count
  }
}

extension NICAccess {
  /// All n-tuple rules. The error is EOPNOTSUPP where the driver has none.
  ///
  /// - Cost: two ioctls and one for each rule.
  public func flowRules(of link: Link) throws(NetlinkError) -> FlowRules {
    let what = "list the n-tuple rules of \(link.name)"
    // Rules come and go between the calls: EMSGSIZE says there are more than were counted, ENOENT
    // that one went.
    for _ in 0..<3 {
      do throws(NetlinkError) {
        return try flowRulesOnce(what, link)
      } catch {
        guard error.errno == EMSGSIZE || error.errno == ENOENT else { throw error }
      }
    }
    throw NetlinkError(what, errno: EAGAIN, message: "the rules keep changing")
  }

  private func flowRulesOnce(_ what: String, _ link: Link) throws(NetlinkError) -> FlowRules {
    let counted = try ruleCall(what, link, command: RuleLayout.getCount, rules: 0) { _ in }
    let expected = try NetlinkError.reading(what) { () throws(MalformedMessage) in
      try FlowRuleList.count(counted)
    }
    let listed = try ruleCall(what, link, command: RuleLayout.getAll, rules: expected) { _ in }
    let list = try NetlinkError.reading(what) { () throws(MalformedMessage) in
      try FlowRuleList(counted: counted, listed: listed)
    }
    var rules: [FlowRule] = []
    for location in list.locations { rules.append(try flowRule(what, link, at: location)) }
    return FlowRules(
      rules: rules, capacity: list.capacity == 0 ? nil : list.capacity,
      picksLocations: list.picksLocations)
  }

  private func flowRule(
    _ what: String, _ link: Link, at location: UInt32
  ) throws(NetlinkError) -> FlowRule {
    let answer = try ruleCall(what, link, command: RuleLayout.getRule, rules: 0) { command in
      let at = RuleLayout.specification + FlowLayout.location
      command.replaceSubrange(at..<at + 4, with: littleEndianBytes(of: location))
    }
    let rule = FlowRule(
      specification: answer.dropFirst(RuleLayout.specification),
      context: answer[...].number(at: RuleLayout.count) ?? 0)
    guard let rule else { throw NetlinkError(what, errno: EBADMSG) }
    return rule
  }

  /// One call with room for the locations of `rules` rules.
  private func ruleCall(
    _ what: String, _ link: Link, command number: UInt32, rules: UInt32,
    _ fill: (inout [UInt8]) -> Void
  ) throws(NetlinkError) -> [UInt8] {
    // One that is inserted has its RSS context where the others have their number.
    let room = number == RuleLayout.insert ? 0 : Int(rules) * 4
    var command = [UInt8](repeating: 0, count: RuleLayout.size + room)
    command.replaceSubrange(0..<4, with: littleEndianBytes(of: number))
    command.replaceSubrange(
      RuleLayout.count..<RuleLayout.count + 4, with: littleEndianBytes(of: rules))
    fill(&command)
    try unsafe ioctl.call(what, link, unsafeCommand: &command)
    return command
  }
}

// Changes; ETHTOOL_SRXCLSRLINS and ETHTOOL_SRXCLSRLDEL, for which there is no netlink.
extension NICAccess {
  /// Adds an n-tuple rule and returns where the driver put it. Its location may be
  /// ``FlowRule/anyLocation`` where the driver picks one (``FlowRules/picksLocations``). Needs
  /// CAP_NET_ADMIN. Errors: EOPNOTSUPP (the feature rx-ntuple-filter is off, or no such flow type),
  /// EINVAL (queue, context or mask), ENOSPC (the table is full), EEXIST.
  public func insert(_ rule: FlowRule, on link: Link) throws(NetlinkError) -> UInt32 {
    guard let specification = rule.specification else {
      throw NetlinkError(
        "add an n-tuple rule to \(link.name)", errno: EINVAL,
        message: "a match that this kind of packet does not have")
    }
    let answer = try ruleCall(
      "add an n-tuple rule to \(link.name)", link, command: RuleLayout.insert,
      rules: rule.context ?? 0
    ) { command in
      let at = RuleLayout.specification
      command.replaceSubrange(at..<at + FlowLayout.size, with: specification)
    }
    return answer[...].number(at: RuleLayout.specification + FlowLayout.location) ?? rule.location
  }

  /// Deletes the rule at a location. The error is ENOENT where there is none.
  public func deleteRule(at location: UInt32, of link: Link) throws(NetlinkError) {
    _ = try ruleCall(
      "delete n-tuple rule \(location) of \(link.name)", link, command: RuleLayout.delete, rules: 0
    ) { command in
      let at = RuleLayout.specification + FlowLayout.location
      command.replaceSubrange(at..<at + 4, with: littleEndianBytes(of: location))
    }
  }
}
