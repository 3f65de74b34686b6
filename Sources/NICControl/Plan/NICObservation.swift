/// What planning needs to know of a NIC.
public struct NICObservation: Equatable, Sendable {
  public var ifname: String
  public var driver: String
  /// Settings that the device has, as they are.
  public var values: [NICSetting: NICSetting.Value]
  /// Tables of the RSS contexts.
  public var contexts: [UInt32: [UInt32]]
  public var rules: [FlowRule]
  /// The most channels, by the kinds that a channel setting has.
  public var mostChannels: NICSetting.Value
  /// Locations for rules, where the driver tells; and whether it picks them by itself.
  public var ruleLocations: UInt32?
  public var picksLocations: Bool
  /// The features that can be switched.
  public var changeableFeatures: Set<String>

  /// `eth1 (bnxt_en)`; lo and the like have no driver.
  var title: String { driver.isEmpty ? ifname : "\(ifname) (\(driver))" }

  public var receiveQueues: UInt32 { NICObservation.receiveQueues(values[.channels]) }

  static func receiveQueues(_ channels: NICSetting.Value?) -> UInt32 {
    guard let channels, channels.count == 4 else { return 0 }
    return UInt32(min(UInt64(channels[0]) + UInt64(channels[2]), UInt64(mostQueues)))
  }

  /// More than any device has.
  static let mostQueues: UInt32 = 65_536
}

extension NICObservation {
  public init(_ state: NICState) {
    ifname = state.link.name
    driver = state.driver.value?.driver ?? ""
    values = [:]
    if let channels = state.channels.value {
      values[.channels] = channels.current.value
      mostChannels = channels.maximum.value
    } else {
      mostChannels = []
    }
    if let rings = state.rings.value {
      if let split = rings.tcpDataSplit { values[.tcpDataSplit] = [UInt32(split.rawValue)] }
      if let bytes = rings.headerSplitThreshold { values[.headerSplitThreshold] = [bytes] }
      if let entries = rings.receive { values[.receiveRing] = [entries] }
    }
    let features = state.features.value
    changeableFeatures = features?.changeable.subtracting(features?.fixed ?? []) ?? []
    for name in features.map({ $0.active.union($0.changeable) }) ?? [] {
      values[.feature(name)] = [features?.active.contains(name) == true ? 1 : 0]
    }
    if let table = state.scaling.value?.indirection, !table.isEmpty {
      values[.indirection] = table
    }
    contexts = [:]
    for context in state.contexts.value ?? [] { contexts[context.context] = context.indirection }
    rules = state.flowRules.value?.rules ?? []
    ruleLocations = state.flowRules.value?.capacity
    picksLocations = state.flowRules.value?.picksLocations ?? false
  }
}

extension Channels.Counts {
  var value: NICSetting.Value { [receive, transmit, combined, other] }

  init?(value: NICSetting.Value) {
    guard value.count == 4 else { return nil }
    self.init(receive: value[0], transmit: value[1], combined: value[2], other: value[3])
  }
}

extension NICAccess {
  /// As ``state(of:)``, without what planning does not need.
  ///
  /// - Cost: about 10 requests, and one for each n-tuple rule.
  public func observe(_ link: Link) throws(NetlinkError) -> NICObservation {
    let state = NICState(
      link: link, numaNode: nil,
      driver: Reading { () throws(NetlinkError) in try driver(of: link) },
      channels: Reading { () throws(NetlinkError) in try channels(of: link) },
      rings: Reading { () throws(NetlinkError) in try rings(of: link) },
      features: Reading { () throws(NetlinkError) in try features(of: link) },
      scaling: Reading { () throws(NetlinkError) in try receiveSideScaling(of: link) },
      contexts: Reading { () throws(NetlinkError) in try contexts(of: link) },
      flowRules: Reading { () throws(NetlinkError) in try flowRules(of: link) },
      xdpFeatures: .value(XDPFeatures(actions: 0, receiveMetadata: 0, socketFlags: 0)),
      queues: .value([]), napis: .value([]),
      pagePools: .value([]))
    // What the device does not have is no failure; what could not be read must not be taken for
    // something that is not there.
    for error in [
      state.channels.failure, state.rings.failure, state.features.failure, state.scaling.failure,
      state.contexts.failure, state.flowRules.failure,
    ] {
      if let error { throw error }
    }
    return NICObservation(state)
  }
}

extension Reading {
  /// Why a setting that the device may have was not read.
  var failure: NetlinkError? {
    guard case .failed(let error) = self else { return nil }
    return error
  }
}
