/// What a receiver wants of a NIC.
public struct NICWish: Codable, Equatable, Sendable {
  /// Receive queues that are to be its own.
  public var queues: [UInt32]
  /// Connections that are to arrive there.
  public var flows: [Flow]
  /// Entries of a receive ring; nil leaves them.
  public var receiveRing: UInt32?
  /// Features to be on, by the kernel's names, besides those that are always needed.
  public var features: [String]

  /// TCP to a port of this machine.
  public struct Flow: Codable, Hashable, Sendable {
    public var port: UInt16
    public var isIPv6: Bool

    public init(port: UInt16, isIPv6: Bool) {
      self.port = port
      self.isIPv6 = isIPv6
    }
  }

  public init(
    queues: [UInt32], flows: [Flow], receiveRing: UInt32? = nil, features: [String] = []
  ) {
    self.queues = queues
    self.flows = flows
    self.receiveRing = receiveRing
    self.features = features
  }
}

extension FlowRule {
  /// TCP to a port goes to a queue, or to the queues of an RSS context.
  init(_ flow: NICWish.Flow, queue: UInt32?, context: UInt32?) {
    self.init(
      location: FlowRule.anyLocation, flow: flow.isIPv6 ? .tcp6 : .tcp4,
      matches: [
        Match(
          field: .destinationPort, value: [UInt8(flow.port >> 8), UInt8(flow.port & 0xff)],
          mask: [0xff, 0xff])
      ],
      action: .queue(queue ?? 0, virtualFunction: 0), context: context)
  }

  /// Whether two rules do the same, wherever they stand.
  func isSame(as other: FlowRule) -> Bool {
    var moved = other
    moved.location = location
    return self == moved
  }
}
