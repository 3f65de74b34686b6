/// What the kernel's queue statistics say about one queue. Drivers fill in what they count.
public struct QueueStatistics: Equatable, Sendable {
  public var direction: Queue.Direction
  public var number: UInt32
  public var counters: [QueueCounter: UInt64]
}

/// Counters by the kernel's numbers (NETDEV_A_QSTATS_*); `name` is what its specification calls
/// them.
public enum QueueCounter: UInt16, Sendable, CaseIterable {
  case receivedPackets = 8
  case receivedBytes = 9
  case sentPackets = 10
  case sentBytes = 11
  /// The NIC wanted a buffer and got none.
  case receiveAllocationFailures = 12
  /// Packets dropped by the NIC, of which for lack of posted buffers.
  case receiveHardwareDrops = 13
  case receiveHardwareOverruns = 14
  /// Packets that the NIC made of several (HW-GRO), and those of the wire that went into them.
  case coalescedPackets = 19
  case coalescedBytes = 20
  case coalescedWirePackets = 21
  case coalescedWireBytes = 22

  public var name: String {
    switch self {
    case .receivedPackets: "rx-packets"
    case .receivedBytes: "rx-bytes"
    case .sentPackets: "tx-packets"
    case .sentBytes: "tx-bytes"
    case .receiveAllocationFailures: "rx-alloc-fail"
    case .receiveHardwareDrops: "rx-hw-drops"
    case .receiveHardwareOverruns: "rx-hw-drop-overruns"
    case .coalescedPackets: "rx-hw-gro-packets"
    case .coalescedBytes: "rx-hw-gro-bytes"
    case .coalescedWirePackets: "rx-hw-gro-wire-packets"
    case .coalescedWireBytes: "rx-hw-gro-wire-bytes"
    }
  }
}

private enum QueueStatisticsNumber {
  static let interface: UInt16 = 1
  static let direction: UInt16 = 2
  static let number: UInt16 = 3
  static let scope: UInt16 = 4
  static let scopeQueue: UInt32 = 1
}

extension QueueStatistics: AttributeDecodable {
  init(_ attributes: Attributes) throws(MalformedMessage) {
    number = try attributes.required(QueueStatisticsNumber.number)
    let kind: UInt32 = try attributes.required(QueueStatisticsNumber.direction)
    guard let direction = Queue.Direction(rawValue: kind) else {
      throw MalformedMessage("statistics of a queue of type \(kind)")
    }
    self.direction = direction
    counters = [:]
    for counter in QueueCounter.allCases {
      counters[counter] = try attributes.integer(counter.rawValue)
    }
  }
}

extension NICAccess {
  /// The statistics of each queue. The error is EOPNOTSUPP where the driver has none. Linux 6.10.
  public func queueStatistics(of link: Link) throws(NetlinkError) -> [QueueStatistics] {
    try netdev().dump(
      Netdev.getQueueStatistics, "read the queue statistics of \(link.name)"
    ) {
      $0.add(QueueStatisticsNumber.interface, link.index)
      $0.add(QueueStatisticsNumber.scope, QueueStatisticsNumber.scopeQueue)
    }
  }
}
