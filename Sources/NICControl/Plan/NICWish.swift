import Glibc

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

  /// TCP to a port of this machine, at one of its addresses or at all.
  public struct Flow: Codable, Hashable, Sendable {
    public var port: UInt16
    public var isIPv6: Bool
    /// 4 or 16 bytes in network order; nil is every address.
    public var address: [UInt8]?

    public init(port: UInt16, isIPv6: Bool, address: [UInt8]? = nil) {
      self.port = port
      self.isIPv6 = isIPv6
      self.address = address
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

extension NICWish.Flow {
  /// The address as people write it.
  var addressText: String? {
    guard let address else { return nil }
    return unsafe address.withUnsafeBytes { bytes in
      unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { text in
        guard let start = bytes.baseAddress, let target = text.baseAddress,
          unsafe inet_ntop(isIPv6 ? AF_INET6 : AF_INET, start, target, 64) != nil
        else { return nil }
        return unsafe String(cString: target)
      }
    }
  }
}

extension FlowRule {
  /// TCP to a port goes to a queue, or to the queues of an RSS context.
  init(_ flow: NICWish.Flow, queue: UInt32?, context: UInt32?) {
    // In the order in which they are read back.
    let address = flow.address.map { bytes in
      Match(
        field: .destinationAddress, value: bytes,
        mask: [UInt8](repeating: 0xff, count: bytes.count))
    }
    let port = Match(
      field: .destinationPort, value: [UInt8(flow.port >> 8), UInt8(flow.port & 0xff)],
      mask: [0xff, 0xff])
    self.init(
      location: FlowRule.anyLocation, flow: flow.isIPv6 ? .tcp6 : .tcp4,
      matches: [address, port].compactMap { $0 },
      action: .queue(queue ?? 0, virtualFunction: 0), context: context)
  }

  /// Whether two rules do the same, wherever they stand.
  func isSame(as other: FlowRule) -> Bool {
    var moved = other
    moved.location = location
    return self == moved
  }
}
