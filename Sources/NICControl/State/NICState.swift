/// Everything that is read about one interface, at about one time.
///
/// The pieces are separate requests: something may change between them.
public struct NICState: Equatable, Sendable {
  public var link: Link
  /// The memory node next to the NIC; nil where the machine has one node or the device none.
  public var numaNode: UInt32?
  public var driver: Reading<DriverInfo>
  public var channels: Reading<Channels>
  public var rings: Reading<Rings>
  public var features: Reading<Features>
  /// The main RSS table.
  public var scaling: Reading<ReceiveSideScaling>
  /// RSS contexts beside it.
  public var contexts: Reading<[ReceiveSideScaling]>
  public var flowRules: Reading<FlowRules>
  public var xdpFeatures: Reading<XDPFeatures>
  /// Empty while the interface is down.
  public var queues: Reading<[Queue]>
  public var napis: Reading<[NAPI]>
  public var pagePools: Reading<[PagePool]>

  /// A receive queue; nil where there is none of that number, or it could not be read.
  public func receiveQueue(_ number: UInt32) -> Queue? {
    queues.value?.first { $0.direction == .receive && $0.number == number }
  }

  /// How many receive queues are in use; nil where nothing tells.
  public var receiveQueueCount: UInt32? {
    if let channels = channels.value { return channels.current.receiveQueues }
    let listed = queues.value?.count { $0.direction == .receive } ?? 0
    return listed == 0 ? nil : UInt32(listed)
  }

  /// The receive queues by the NAPI instance that serves them. A socket's SO_INCOMING_NAPI_ID names
  /// the instance, and so the queue by which its connection arrives.
  public var receiveQueuesByNAPI: [UInt32: [UInt32]] {
    var numbers: [UInt32: [UInt32]] = [:]
    for queue in queues.value ?? [] where queue.direction == .receive {
      guard let napi = queue.napi else { continue }
      numbers[napi, default: []].append(queue.number)
    }
    return numbers
  }
}

extension NICAccess {
  /// The memory node next to a device; nil where it has none, or the machine has one node.
  public func numaNode(of name: String) throws(NetlinkError) -> Int? {
    try link(named: name).parent.flatMap { SystemFiles.numaNode(of: $0) }.map { Int($0) }
  }

  /// Reads all of it. The error is ENODEV where there is no such interface; what cannot be read
  /// says so in its place.
  ///
  /// - Cost: about 15 requests, and one for each n-tuple rule.
  public func state(of name: String) throws(NetlinkError) -> NICState {
    let link = try link(named: name)
    return NICState(
      link: link,
      numaNode: link.parent.flatMap { SystemFiles.numaNode(of: $0) },
      driver: Reading { () throws(NetlinkError) in try driver(of: link) },
      channels: Reading { () throws(NetlinkError) in try channels(of: link) },
      rings: Reading { () throws(NetlinkError) in try rings(of: link) },
      features: Reading { () throws(NetlinkError) in try features(of: link) },
      scaling: Reading { () throws(NetlinkError) in try receiveSideScaling(of: link) },
      contexts: Reading { () throws(NetlinkError) in try contexts(of: link) },
      flowRules: Reading { () throws(NetlinkError) in try flowRules(of: link) },
      xdpFeatures: Reading { () throws(NetlinkError) in try xdpFeatures(of: link) },
      queues: Reading { () throws(NetlinkError) in try queues(of: link) },
      napis: Reading { () throws(NetlinkError) in try napis(of: link) },
      pagePools: Reading { () throws(NetlinkError) in try pagePools(of: link) })
  }
}
