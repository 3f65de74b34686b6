import CIngestKernel
import Glibc
import RingCore

/// Listening sockets for the threads of a receiver, with errors a person can act on.
struct Listener: ~Copyable {
  /// One descriptor per thread, all on the same address; owned until taken.
  private(set) var descriptors: [Int32] = []
  private(set) var endpoint = Endpoint()

  static let backlog: Int32 = 1024

  init(_ configuration: ReceiveConfiguration, threads: Int) throws(IngestError) {
    let address = try Listener.resolve(configuration)
    let shared = threads > 1
    var opened: [Int32] = []
    var at = address
    // SO_REUSEPORT would join a stranger's port without a word, so it is first taken alone.
    if shared && at.port != 0 {
      let probe = Listener.open(&at, shared: false, configuration)
      guard probe >= 0 else { throw Listener.refusal(-probe, at, configuration) }
      ik_close_owned(probe)
    }
    for _ in 0..<threads {
      let descriptor = Listener.open(&at, shared: shared, configuration)
      guard descriptor >= 0 else {
        for one in opened { ik_close_owned(one) }
        throw Listener.refusal(-descriptor, at, configuration)
      }
      opened.append(descriptor)
      // With port 0 the first socket chooses, the others follow.
      _ = unsafe ik_endpoint_of(descriptor, 0, &at)
    }
    descriptors = opened
    endpoint = Endpoint(raw: at)
  }

  deinit { for descriptor in descriptors { ik_close_owned(descriptor) } }

  /// Hands the descriptors over to their engines.
  mutating func take() -> [Int32] {
    defer { descriptors = [] }
    return descriptors
  }

  private static func open(
    _ at: inout ik_endpoint, shared: Bool, _ configuration: ReceiveConfiguration
  ) -> Int32 {
    let buffer = Int32(clamping: configuration.socketBuffer)
    var flags: Int32 = 0
    if shared { flags |= Int32(IK_LISTEN_SHARE) }
    if configuration.family == .ipv6 { flags |= Int32(IK_LISTEN_V6_ONLY) }
    let descriptor =
      if let ifname = configuration.ifname {
        unsafe ik_listen(&at, backlog, flags, buffer, ifname)
      } else {
        unsafe ik_listen(&at, backlog, flags, buffer, nil)
      }
    guard descriptor >= 0 else { return descriptor }
    if configuration.peerTimeout > 0 {
      let error = ik_watch_peer(descriptor, Int32(configuration.peerTimeout.rounded(.up)))
      if error != 0 {
        close(descriptor)
        return error
      }
    }
    ik_own(descriptor)
    return descriptor
  }

  private static func resolve(
    _ configuration: ReceiveConfiguration
  ) throws(IngestError) -> ik_endpoint {
    let family: Int32 =
      switch configuration.family {
      case .any: AF_UNSPEC
      case .ipv4: AF_INET
      case .ipv6: AF_INET6
      }
    guard let host = configuration.listen else {
      // The IPv6 wildcard takes IPv4 too, unless -6 was asked for.
      var any = ik_endpoint()
      any.family = UInt16(family == AF_INET || !hasIPv6() ? AF_INET : AF_INET6)
      any.port = configuration.port
      return any
    }
    return try HostName.resolve(host, port: configuration.port, family: family)
  }

  private static func hasIPv6() -> Bool {
    let descriptor = socket(AF_INET6, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { return false }
    close(descriptor)
    return true
  }

  /// Says why listening was refused, and what to do.
  private static func refusal(
    _ errno: Int32, _ at: ik_endpoint, _ configuration: ReceiveConfiguration
  ) -> IngestError {
    let place = "\(Endpoint(raw: at))"
    switch errno {
    case EADDRINUSE:
      return IngestError(
        .failed, "port \(at.port) is in use: cannot listen on \(place)",
        remedy: "`ss -ltnp 'sport = :\(at.port)'` shows by whom; --port takes another one")
    case EACCES:
      return IngestError(
        .noPrivilege, "no permission to listen on \(place)",
        remedy: "ports below 1024 need CAP_NET_BIND_SERVICE; choose another with --port")
    case ENODEV:
      return IngestError(
        .failed, "no such interface: \(configuration.ifname ?? "")",
        remedy: "`ip -br link` lists the interfaces of this network namespace")
    case EPERM:
      return IngestError(
        .noPrivilege, "no permission to bind to interface \(configuration.ifname ?? "")",
        remedy: "binding to an interface needs CAP_NET_RAW, or leave --ifname out")
    case EADDRNOTAVAIL:
      return IngestError(
        .failed, "\(place) is not an address of this machine",
        remedy: "`ip -br address` lists the addresses; without --listen all are used")
    default:
      return IngestError(
        .failed, "cannot listen on \(place): \(unsafe String(cString: strerror(errno)))")
    }
  }
}

/// Host names to addresses, for both ends.
enum HostName {
  static func resolve(
    _ host: String, port: UInt16, family: Int32
  ) throws(IngestError) -> ik_endpoint {
    var found = ik_endpoint()
    let count = unsafe ik_resolve(host, port, family, &found, 1)
    guard count > 0 else {
      let why = count == 0 ? "no address" : unsafe String(cString: ik_resolve_error(count))
      throw IngestError(
        .failed, "cannot resolve \(host): \(why)",
        remedy: "`getent ahosts \(host)` asks the same resolver; -4 and -6 narrow the family")
    }
    return found
  }
}
