import Glibc

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
  /// Who polls; nil before Linux 6.17, and for a way that is not known here.
  public var threaded: Threaded?

  /// The numbers are the kernel's (NETDEV_NAPI_THREADED_* in include/uapi/linux/netdev.h).
  public enum Threaded: UInt32, Sendable {
    /// The interrupt's CPU, in softirq context.
    case disabled = 0
    /// A kernel thread of the instance's own.
    case enabled = 1
    /// That thread, without a pause.
    case busyPoll = 2
  }

  /// What to change of a NAPI instance; nil leaves a setting as it is.
  public struct Settings: Equatable, Sendable {
    /// At most `Int32.max`.
    public var deferHardIRQs: UInt32?
    /// Nanoseconds.
    public var groFlushTimeout: UInt64?
    /// Nanoseconds.
    public var irqSuspendTimeout: UInt64?
    /// Linux 6.17.
    public var threaded: Threaded?

    public init(
      deferHardIRQs: UInt32? = nil, groFlushTimeout: UInt64? = nil,
      irqSuspendTimeout: UInt64? = nil, threaded: Threaded? = nil
    ) {
      self.deferHardIRQs = deferHardIRQs
      self.groFlushTimeout = groFlushTimeout
      self.irqSuspendTimeout = irqSuspendTimeout
      self.threaded = threaded
    }
  }
}

private enum NAPINumber {
  static let interface: UInt16 = 1
  static let identifier: UInt16 = 2
  static let interrupt: UInt16 = 3
  static let thread: UInt16 = 4
  static let deferHardIRQs: UInt16 = 5
  static let groFlushTimeout: UInt16 = 6
  static let irqSuspendTimeout: UInt16 = 7
  static let threaded: UInt16 = 8
}

extension NAPI: AttributeDecodable {
  init(_ attributes: Attributes) throws(MalformedMessage) {
    identifier = try attributes.required(NAPINumber.identifier)
    interrupt = try attributes.integer(NAPINumber.interrupt)
    thread = try attributes.integer(NAPINumber.thread)
    deferHardIRQs = try attributes.integer(NAPINumber.deferHardIRQs)
    groFlushTimeout = try attributes.integer(NAPINumber.groFlushTimeout)
    irqSuspendTimeout = try attributes.integer(NAPINumber.irqSuspendTimeout)
    threaded = try attributes.integer(NAPINumber.threaded).flatMap(Threaded.init)
  }
}

extension NAPI.Settings {
  func write(_ identifier: UInt32, to writer: inout AttributeWriter) {
    writer.add(NAPINumber.identifier, identifier)
    if let deferHardIRQs { writer.add(NAPINumber.deferHardIRQs, deferHardIRQs) }
    if let groFlushTimeout { writer.add(NAPINumber.groFlushTimeout, groFlushTimeout) }
    if let irqSuspendTimeout { writer.add(NAPINumber.irqSuspendTimeout, irqSuspendTimeout) }
    if let threaded { writer.add(NAPINumber.threaded, threaded.rawValue) }
  }
}

extension NICAccess {
  /// All NAPI instances; none while the interface is down. Linux 6.8.
  public func napis(of link: Link) throws(NetlinkError) -> [NAPI] {
    try netdev().dump(Netdev.getNAPI, "list the NAPI instances of \(link.name)") {
      $0.add(NAPINumber.interface, link.index)
    }
  }

  /// Changes a NAPI instance. An instance is known by its number while the interface is up; the
  /// next time it is up it may have another. No notification tells others of the change.
  ///
  /// Needs CAP_NET_ADMIN in the initial user namespace. The errors are EPERM without it, ENOENT for
  /// a number that no instance of this network namespace has, EOPNOTSUPP before Linux 6.13, and
  /// ERANGE or EINVAL for a value that the kernel does not take. The kernel sets one after the
  /// other: after an error some may be changed.
  ///
  /// The message is NETDEV_CMD_NAPI_SET.
  public func setNAPI(
    _ identifier: UInt32, _ settings: NAPI.Settings
  ) throws(NetlinkError) {
    let what = "set NAPI instance \(identifier)"
    do throws(NetlinkError) {
      try netdev().change(Netdev.setNAPI, what) { settings.write(identifier, to: &$0) }
    } catch {
      let message = NICAccess.cause(of: error.errno, settings)
      throw NetlinkError(
        what, errno: error.errno,
        message: [error.message, message].compactMap { $0 }.joined(separator: "; ").nonEmpty)
    }
  }

  /// What the kernel's words leave open (net/core/netdev-genl.c, netdev_nl_napi_set_doit).
  private static func cause(of errno: Int32, _ settings: NAPI.Settings) -> String? {
    switch errno {
    case EPERM: "needs CAP_NET_ADMIN in the initial user namespace; run it with sudo"
    case ENOENT: "no interface that is up has it; an interface set up again has other numbers"
    case EOPNOTSUPP: "NAPI instances can be set since Linux 6.13"
    case EINVAL where settings.threaded != nil: "`threaded` needs Linux 6.17"
    case ERANGE where settings.threaded == .busyPoll:
      "this kernel has no threads that poll without a pause"
    default: nil
    }
  }
}

extension String {
  fileprivate var nonEmpty: String? { isEmpty ? nil : self }
}
