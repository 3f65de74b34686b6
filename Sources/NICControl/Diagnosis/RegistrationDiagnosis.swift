import Glibc

/// Why a queue cannot be registered for zero-copy receive, and what to do about it.
///
/// The kernel answers IORING_REGISTER_ZCRX_IFQ with an errno alone, which stands for several
/// causes. They are told apart by what else is known, in the order in which the kernel checks.
public struct RegistrationDiagnosis: Equatable, Sendable, CustomStringConvertible {
  public let kind: Kind
  /// What is wrong, as a sentence without a full stop.
  public let what: String
  /// The way out, with the command to type where there is one.
  public let remedy: String

  public enum Kind: Equatable, Sendable {
    /// This NIC, driver or kernel cannot do it.
    case notSupported
    /// It could, but something is set up otherwise or taken.
    case refused
    case noPrivilege
    /// Neither: a fault in this program, or one that only the driver knows.
    case failed
  }

  public var description: String { "\(what)\n  \(remedy)" }

  /// Explains a refusal.
  ///
  /// - Parameters:
  ///   - errno: positive, of io_uring_register(2), or of the io_uring_setup(2) before it.
  ///   - state: the NIC as it was read after the refusal; nil where there is none of that name.
  /// - Cost: none; nothing is read.
  public init(errno: Int32, wish: RegistrationWish, host: RegistrationHost, state: NICState?) {
    let all = RegistrationCheck.inKernelOrder.filter { $0.errnos.contains(errno) }
    let scene = RegistrationScene(wish: wish, host: host, state: state)
    let findings = all.compactMap { $0.find(scene) }
    let finding =
      findings.first { $0.isCertain } ?? findings.first ?? RegistrationFinding.bare(errno, scene)
    self = finding.diagnosis
  }

  /// The first thing that will stand in the way of a registration, without trying; nil where
  /// nothing is known that would.
  public static func obstacle(
    to wish: RegistrationWish, host: RegistrationHost, state: NICState?
  ) -> RegistrationDiagnosis? {
    let scene = RegistrationScene(wish: wish, host: host, state: state)
    return RegistrationCheck.inKernelOrder.lazy.compactMap { $0.find(scene) }
      .first { $0.isForeseen }?.diagnosis
  }

  /// Explains why there is no ring at all, whatever it was wanted for; nil where the errno is none
  /// of those by which io_uring is kept from a process (EPERM, EACCES, ENOSYS).
  public init?(ringRefused errno: Int32, host: RegistrationHost) {
    let none = RegistrationWish(target: nil, areaBytes: 0, memory: .pages, refillEntries: 0)
    let scene = RegistrationScene(wish: none, host: host, state: nil)
    guard let known = scene.possibility(.ioUring, errno) else { return nil }
    self = known
  }

  /// There is no interface of this name.
  public init(missingInterface name: String) {
    kind = .refused
    what = "there is no interface \(name) in this network namespace"
    remedy = "`ip -br link` lists those of this one, `ip netns list` the other namespaces"
  }

  init(kind: Kind, what: String, remedy: String) {
    self.kind = kind
    self.what = what
    self.remedy = remedy
  }
}

/// One thing that the kernel or a driver checks, by what it answers when it is not so.
struct RegistrationCheck: Sendable {
  let topic: RegistrationTopic
  let errnos: Set<Int32>
  let find: @Sendable (RegistrationScene) -> RegistrationFinding?

  init(
    _ topic: RegistrationTopic, _ errnos: Int32...,
    find: @escaping @Sendable (RegistrationScene) -> RegistrationFinding?
  ) {
    self.topic = topic
    self.errnos = Set(errnos)
    self.find = find
  }

  /// io_uring/zcrx.c, io_register_zcrx; net/core/netdev_rx_queue.c, netif_mp_open_rxq; the driver.
  static let inKernelOrder = kernelChecks + requestChecks + areaChecks + queueChecks + driverChecks
}

/// What a check makes of a case.
struct RegistrationFinding {
  let diagnosis: RegistrationDiagnosis
  /// Whether what is known shows it. Otherwise it is a cause that what is known does not exclude.
  let isCertain: Bool
  /// Whether it will be refused for this without anything being tried. What one driver refuses and
  /// another takes is certain only once it was refused.
  let isForeseen: Bool

  static func certain(
    _ kind: RegistrationDiagnosis.Kind, _ what: String, _ remedy: String, isForeseen: Bool = true
  ) -> RegistrationFinding {
    RegistrationFinding(
      diagnosis: RegistrationDiagnosis(kind: kind, what: what, remedy: remedy), isCertain: true,
      isForeseen: isForeseen)
  }

  static func possible(
    _ kind: RegistrationDiagnosis.Kind, _ what: String, _ remedy: String
  ) -> RegistrationFinding {
    RegistrationFinding(
      diagnosis: RegistrationDiagnosis(kind: kind, what: what, remedy: remedy), isCertain: false,
      isForeseen: false)
  }

  /// What is left when no check found anything: the errno, and where more can be learned.
  static func bare(_ errno: Int32, _ scene: RegistrationScene) -> RegistrationFinding {
    let text = unsafe String(cString: strerror(errno))
    let what = "the kernel refused to register \(scene.place): \(text) (errno \(errno))"
    // Only a fault of the caller's gives these, once the checks found nothing.
    let isFault = [EFAULT, EBADFD, EBADF, EEXIST, EINVAL, E2BIG, EOVERFLOW].contains(errno)
    return possible(
      .failed, what,
      isFault
        ? "nothing known explains this; please report it with `uname -r` and this message"
        : "the driver may have said why: `dmesg | tail -20`")
  }
}

/// A refusal and what is known around it, with the names and words that the checks share.
struct RegistrationScene: Sendable {
  let wish: RegistrationWish
  let host: RegistrationHost
  /// Nil where there is no such interface, or none is wanted.
  let state: NICState?

  init(wish: RegistrationWish, host: RegistrationHost, state: NICState?) {
    self.wish = wish
    self.host = host
    self.state = wish.target == nil ? nil : state
  }

  var interface: String { wish.target?.interface ?? "" }
  var queueNumber: UInt32 { wish.target?.queue ?? 0 }
  var link: Link? { state?.link }
  var driver: String? { state?.driver.value?.driver }
  var queue: Queue? { state?.receiveQueue(queueNumber) }

  /// "zc0 queue 3"
  var place: String {
    wish.target == nil ? "an instance without a NIC" : "\(interface) queue \(queueNumber)"
  }

  /// What works instead of a NIC's queue.
  var alternative: String {
    host.has(.deviceless)
      ? "`--engine nodev` or `--engine copy` work with any interface"
      : "`--engine copy` works with any interface"
  }
}
