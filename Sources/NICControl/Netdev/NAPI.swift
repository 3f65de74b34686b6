/// A NAPI instance: what polls one or more queues.
public struct NAPI: Equatable, Sendable {
  public var identifier: UInt32
  /// The interrupt that wakes it; its affinity is /proc/irq/N/smp_affinity_list.
  public var interrupt: UInt32?
  /// The kernel thread that polls, where it is threaded.
  public var thread: UInt32?
  /// Empty polls before the interrupt is switched on again.
  public var deferHardIRQs: UInt32?
  /// Nanoseconds.
  public var groFlushTimeout: UInt64?
  /// Nanoseconds for which interrupts stay off while a program busy-polls; Linux 6.13.
  public var irqSuspendTimeout: UInt64?
}

private enum NAPINumber {
  static let interface: UInt16 = 1
  static let identifier: UInt16 = 2
  static let interrupt: UInt16 = 3
  static let thread: UInt16 = 4
  static let deferHardIRQs: UInt16 = 5
  static let groFlushTimeout: UInt16 = 6
  static let irqSuspendTimeout: UInt16 = 7
}

extension NAPI: AttributeDecodable {
  init(_ attributes: Attributes) throws(MalformedMessage) {
    identifier = try attributes.required(NAPINumber.identifier)
    interrupt = try attributes.integer(NAPINumber.interrupt)
    thread = try attributes.integer(NAPINumber.thread)
    deferHardIRQs = try attributes.integer(NAPINumber.deferHardIRQs)
    groFlushTimeout = try attributes.integer(NAPINumber.groFlushTimeout)
    irqSuspendTimeout = try attributes.integer(NAPINumber.irqSuspendTimeout)
  }
}

extension NICAccess {
  /// All NAPI instances; none while the interface is down. Linux 6.8.
  public func napis(of link: Link) throws(NetlinkError) -> [NAPI] {
    try netdev().dump(Netdev.getNAPI, "list the NAPI instances of \(link.name)") {
      $0.add(NAPINumber.interface, link.index)
    }
  }
}
