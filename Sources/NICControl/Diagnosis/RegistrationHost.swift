import Glibc

/// What registering a queue depends on beside the NIC: the kernel and the rights of this process.
public struct RegistrationHost: Equatable, Sendable {
  public var kernel: KernelVersion
  /// What the kernel says it can do (IORING_REGISTER_QUERY, Linux 6.19); nil goes by its version.
  public var features: Set<ZeroCopyFeature>?
  /// Whether zero-copy receive was compiled in; nil where it is not known.
  public var isCompiledIn: Bool?
  public var pageBytes: UInt64
  public var hasNetAdmin: Bool
  /// CAP_IPC_LOCK: RLIMIT_MEMLOCK does not count.
  public var hasLockRight: Bool
  /// The kernel wants CAP_NET_ADMIN here, not in a container's user namespace.
  public var isInitialUserNamespace: Bool
  /// Bytes that all processes of this user together may have locked; nil for any number.
  public var lockLimit: UInt64?
  /// The sysctl kernel.io_uring_disabled: 1 keeps it from the unprivileged, 2 from all.
  public var ioUringDisabled: Int
  /// Who may have a queue that is taken, the most likely first.
  public var owners: [QueueOwner]

  public init(
    kernel: KernelVersion, features: Set<ZeroCopyFeature>? = nil, isCompiledIn: Bool? = nil,
    pageBytes: UInt64 = 4096, hasNetAdmin: Bool = true, hasLockRight: Bool = true,
    isInitialUserNamespace: Bool = true, lockLimit: UInt64? = nil, ioUringDisabled: Int = 0,
    owners: [QueueOwner] = []
  ) {
    self.kernel = kernel
    self.features = features
    self.isCompiledIn = isCompiledIn
    self.pageBytes = pageBytes
    self.hasNetAdmin = hasNetAdmin
    self.hasLockRight = hasLockRight
    self.isInitialUserNamespace = isInitialUserNamespace
    self.lockLimit = lockLimit
    self.ioUringDisabled = ioUringDisabled
    self.owners = owners
  }

  /// The kernel and the rights of the calling thread. Neither the kernel's features nor owners of
  /// queues are looked for: the first needs io_uring, the second all of /proc.
  public static func current() -> RegistrationHost {
    let release = SystemFiles.text("/proc/sys/kernel/osrelease") ?? ""
    let status = SystemFiles.text("/proc/thread-self/status") ?? ""
    let effective = SystemFiles.field("CapEff", in: status)
    let capabilities = effective.flatMap { UInt64($0, radix: 16) } ?? 0
    let disabled = SystemFiles.text("/proc/sys/kernel/io_uring_disabled") ?? ""
    return RegistrationHost(
      kernel: KernelVersion(release: release) ?? KernelVersion(0, 0),
      pageBytes: UInt64(clamping: sysconf(Int32(_SC_PAGESIZE))),
      hasNetAdmin: capabilities & (1 << 12) != 0,
      hasLockRight: capabilities & (1 << 14) != 0,
      isInitialUserNamespace: isIdentity(SystemFiles.text("/proc/self/uid_map") ?? ""),
      lockLimit: lockLimit(SystemFiles.text("/proc/self/limits") ?? ""),
      ioUringDisabled: Int(disabled.prefix { $0 != "\n" }) ?? 0)
  }

  func has(_ feature: ZeroCopyFeature) -> Bool {
    features?.contains(feature) ?? (kernel >= feature.since)
  }

  /// Whether a uid_map is the initial namespace's: all 2^32 - 1 numbers, mapped to themselves.
  static func isIdentity(_ map: String) -> Bool {
    map.split(whereSeparator: \.isWhitespace) == ["0", "0", "4294967295"]
  }

  /// The soft limit of the line "Max locked memory" of a /proc/PID/limits; nil for none.
  static func lockLimit(_ limits: String) -> UInt64? {
    let name = "Max locked memory"
    guard let line = limits.split(separator: "\n").first(where: { $0.hasPrefix(name) }) else {
      return nil
    }
    return line.dropFirst(name.count).split(separator: " ").first.flatMap { UInt64($0) }
  }
}
