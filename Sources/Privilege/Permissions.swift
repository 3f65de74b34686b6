/// What threads may still do once their privileges are dropped: what their work needs, no more.
public struct Permissions: Equatable, Sendable {
  /// Who they become; nil stays who they are.
  public var user: User?
  /// Capabilities that are kept, as in /proc/PID/status.
  public var capabilities: UInt64 = 0
  /// Directories below which files may be made, written, renamed and removed.
  public var writable: [String] = []
  /// Files and directories that may be read.
  public var readable: [String] = []
  /// TCP ports that may be connected to, on whatever host: Landlock does not know addresses.
  public var ports: [UInt16] = []
  public var calls: Calls = []

  public init() {}

  /// System calls beyond those that every receiving thread makes.
  public struct Calls: OptionSet, Sendable {
    public let rawValue: Int

    public init(rawValue: Int) { self.rawValue = rawValue }

    /// Opening files for reading.
    public static let reads = Calls(rawValue: 1 << 0)
    /// Making, syncing, cutting, renaming and removing files.
    public static let files = Calls(rawValue: 1 << 1)
    /// TCP sockets of one's own; what they may connect to is for ``Permissions/ports``.
    public static let connections = Calls(rawValue: 1 << 2)
    /// Taking connections of a unix socket.
    public static let consumers = Calls(rawValue: 1 << 3)
    /// Files in memory.
    public static let memory = Calls(rawValue: 1 << 4)
    /// Requests about network devices on sockets that are open.
    public static let devices = Calls(rawValue: 1 << 5)
    /// More threads.
    public static let threads = Calls(rawValue: 1 << 6)
    /// Talking to processes that were started before, and learning of their end.
    public static let children = Calls(rawValue: 1 << 7)
  }

  /// What it takes to become another user and keep nothing: CAP_SETGID, CAP_SETUID, CAP_SETPCAP.
  public static let changeOfUser: UInt64 = 1 << 6 | 1 << 7 | 1 << 8

  /// CAP_NET_ADMIN (include/uapi/linux/capability.h).
  public static let networkAdministration: UInt64 = 1 << 12
}
