/// A pool of receive buffers. It outlives its queue for as long as packets hold buffers of it.
public struct PagePool: Equatable, Sendable {
  public var identifier: UInt32
  /// The interface it belongs to; nil when that is gone.
  public var interface: UInt32?
  public var napi: UInt32?
  /// Buffers that are out: with the NIC, in packets, or with their reader.
  public var inFlight: UInt64?
  /// Bytes.
  public var inFlightMemory: UInt64?
  /// Seconds of system uptime at which the driver let go of it; nil while it is in use.
  public var detachTime: UInt64?
  public var dmabuf: UInt32?
  /// Its buffers are those of an io_uring instance (zero-copy receive).
  public var isIOUring: Bool
  /// Nil where the kernel does not count (CONFIG_PAGE_POOL_STATS).
  public var statistics: Statistics?

  /// Where buffers came from and where they went.
  public struct Statistics: Equatable, Sendable {
    /// From the cache of the NAPI instance, and around it.
    public var allocatedFast: UInt64
    public var allocatedSlow: UInt64
    /// Times that the pool's ring was empty.
    public var allocatedEmpty: UInt64
    /// Times that the cache was refilled from the ring.
    public var refilled: UInt64
    /// Given back to the cache or the ring, and given away because both were full.
    public var recycledCached: UInt64
    public var recycledRing: UInt64
    public var ringFull: UInt64
  }
}

private enum PagePoolNumber {
  static let identifier: UInt16 = 1
  static let interface: UInt16 = 2
  static let napi: UInt16 = 3
  static let inFlight: UInt16 = 4
  static let inFlightMemory: UInt16 = 5
  static let detachTime: UInt16 = 6
  static let dmabuf: UInt16 = 7
  static let ioUring: UInt16 = 8
  static let statisticsInfo: UInt16 = 1
  static let allocatedFast: UInt16 = 8
  static let allocatedSlow: UInt16 = 9
  static let allocatedEmpty: UInt16 = 11
  static let refilled: UInt16 = 12
  static let recycledCached: UInt16 = 14
  static let recycledRing: UInt16 = 16
  static let ringFull: UInt16 = 17
}

extension PagePool: AttributeDecodable {
  init(_ attributes: Attributes) throws(MalformedMessage) {
    identifier = try attributes.required(PagePoolNumber.identifier)
    interface = try attributes.integer(PagePoolNumber.interface)
    napi = try attributes.integer(PagePoolNumber.napi)
    inFlight = try attributes.integer(PagePoolNumber.inFlight)
    inFlightMemory = try attributes.integer(PagePoolNumber.inFlightMemory)
    detachTime = try attributes.integer(PagePoolNumber.detachTime)
    dmabuf = try attributes.integer(PagePoolNumber.dmabuf)
    isIOUring = attributes.has(PagePoolNumber.ioUring)
  }
}

/// A reply about the statistics of one pool.
struct PagePoolStatisticsReply: AttributeDecodable {
  let identifier: UInt32
  let statistics: PagePool.Statistics

  init(_ attributes: Attributes) throws(MalformedMessage) {
    guard let info = try attributes.nested(PagePoolNumber.statisticsInfo) else {
      throw MalformedMessage("page pool statistics without a pool")
    }
    identifier = try info.required(PagePoolNumber.identifier)
    func count(_ number: UInt16) throws(MalformedMessage) -> UInt64 {
      try attributes.integer(number) ?? 0
    }
    statistics = PagePool.Statistics(
      allocatedFast: try count(PagePoolNumber.allocatedFast),
      allocatedSlow: try count(PagePoolNumber.allocatedSlow),
      allocatedEmpty: try count(PagePoolNumber.allocatedEmpty),
      refilled: try count(PagePoolNumber.refilled),
      recycledCached: try count(PagePoolNumber.recycledCached),
      recycledRing: try count(PagePoolNumber.recycledRing),
      ringFull: try count(PagePoolNumber.ringFull))
  }
}

extension NICAccess {
  /// The page pools of an interface, detached ones included. Linux 6.8.
  ///
  /// - Cost: lists all pools of the network namespace.
  public func pagePools(of link: Link) throws(NetlinkError) -> [PagePool] {
    let family = try netdev()
    var pools: [PagePool] = try family.dump(
      Netdev.getPagePool, "list the page pools of \(link.name)"
    ) { _ in }.filter { $0.interface == link.index }
    let replies: [PagePoolStatisticsReply]
    do throws(NetlinkError) {
      replies = try family.dump(
        Netdev.getPagePoolStatistics, "read the page pool statistics of \(link.name)"
      ) { _ in }
    } catch  where error.isNotSupported {
      return pools
    }
    for index in pools.indices {
      pools[index].statistics =
        replies.first { $0.identifier == pools[index].identifier }?.statistics
    }
    return pools
  }
}
