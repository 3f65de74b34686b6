// Steps as people read them, and as they would type them.
extension NICStep {
  /// `tcp-data-split: off -> on`, `+ rule: TCP/IPv4 port 5301 -> queue 3`.
  public var text: String {
    switch self {
    case .set(let setting, let from, let to):
      let target =
        to.isEmpty && setting == .indirection ? "the driver's own" : setting.text(to)
      return "\(setting.name): \(setting.text(from)) -> \(target)"
    case .createContext(let owned):
      return "+ RSS context \(owned.number): \(IndirectionTable.text(owned.table))"
    case .insertRule(let owned): return "+ n-tuple rule: \(owned.rule.summary)"
    case .deleteRule(let location, let rule):
      return "- n-tuple rule \(location): \(rule.summary)"
    case .deleteContext(let number): return "- RSS context \(number)"
    }
  }

  /// The line of ethtool that does the same; nil where ethtool has no words for it.
  public func command(_ ifname: String) -> String? {
    switch self {
    case .set(let setting, let from, let to): setting.command(ifname, from: from, to: to)
    case .createContext(let owned):
      IndirectionTable.words(for: owned.table).map { "ethtool -X \(ifname) \($0) context new" }
    case .insertRule(let owned):
      "ethtool -N \(ifname) flow-type \(owned.flow.isIPv6 ? "tcp6" : "tcp4") "
        + (owned.flow.addressText.map { "dst-ip \($0) " } ?? "")
        + "dst-port \(owned.flow.port) "
        + (owned.context.map { "context \($0)" } ?? "action \(owned.queue ?? 0)")
        + (owned.location.map { " loc \($0)" } ?? "")
    case .deleteRule(let location, _): "ethtool -N \(ifname) delete \(location)"
    case .deleteContext(let number): "ethtool -X \(ifname) context \(number) delete"
    }
  }
}

extension NICSetting {
  fileprivate func command(_ ifname: String, from: Value, to: Value) -> String? {
    switch self {
    case .channels:
      let words = zip(["rx", "tx", "combined", "other"], zip(from, to))
        .filter { $0.1.0 != $0.1.1 }.map { "\($0.0) \($0.1.1)" }
      return "ethtool -L \(ifname) " + words.joined(separator: " ")
    case .feature(let name):
      // ethtool's own word for it is older than the kernel's.
      let word = name == "rx-ntuple-filter" ? "ntuple" : name
      return "ethtool -K \(ifname) \(word) \(to == [0] ? "off" : "on")"
    case .tcpDataSplit:
      return "ethtool -G \(ifname) tcp-data-split \(to == [2] ? "on" : to == [1] ? "off" : "auto")"
    case .headerSplitThreshold: return "ethtool -G \(ifname) hds-thresh \(to.first ?? 0)"
    case .receiveRing: return "ethtool -G \(ifname) rx \(to.first ?? 0)"
    case .indirection:
      if to.isEmpty { return "ethtool -X \(ifname) default" }
      return IndirectionTable.words(for: to).map { "ethtool -X \(ifname) \($0)" }
    }
  }
}

extension FlowRule {
  /// `TCP/IPv4 port 5301 -> queue 3`
  public var summary: String {
    let port = matches.first { $0.field == .destinationPort }?.number ?? 0
    let target: String =
      if let context {
        "RSS context \(context)"
      } else {
        switch action {
        case .queue(let queue, _): "queue \(queue)"
        case .drop: "nowhere"
        case .wakeUp: "wake-up"
        }
      }
    return "TCP/\(flow == .tcp6 ? "IPv6" : "IPv4") port \(port) -> \(target)"
  }
}
