import CIngestKernel
import Glibc
import RingCore

/// Listening sockets for the threads of a receiver, with errors a person can act on.
struct Listener: ~Copyable {
  /// For each thread a descriptor for each place; owned until taken.
  private(set) var descriptors: [[Int32]] = []
  private(set) var endpoints: [Endpoint] = []

  static let backlog: Int32 = 1024
  /// Ports that the kernel chooses for the first place and somebody has at another.
  private static let attempts = 16

  init(
    _ places: ListenPlaces, _ configuration: ReceiveConfiguration, threads: Int
  ) throws(IngestError) {
    for left in (0..<Listener.attempts).reversed() {
      var opened: [[Int32]] = []
      var bound: [Endpoint] = []
      var refused: (errno: Int32, at: ik_endpoint)?
      var port = configuration.port
      for place in places.endpoints where refused == nil {
        var at = place
        at.port = port
        let made = Listener.open(&at, configuration, threads: threads)
        if made.errno == 0 {
          opened.append(made.descriptors)
          bound.append(Endpoint(raw: at))
          port = at.port
        } else {
          refused = (made.errno, at)
        }
      }
      guard let refused else {
        descriptors = (0..<threads).map { thread in opened.map { $0[thread] } }
        endpoints = bound
        return
      }
      for one in opened.joined() { ik_close_owned(one) }
      guard configuration.port == 0, !opened.isEmpty, refused.errno == EADDRINUSE, left > 0 else {
        throw Listener.refusal(refused.errno, refused.at, configuration)
      }
    }
  }

  deinit { for descriptor in descriptors.joined() { ik_close_owned(descriptor) } }

  /// Hands the descriptors over to their engines.
  mutating func take() -> [[Int32]] {
    defer { descriptors = [] }
    return descriptors
  }

  /// A socket for each thread at one place, whose port is known then; none of them where one cannot
  /// be had.
  private static func open(
    _ at: inout ik_endpoint, _ configuration: ReceiveConfiguration, threads: Int
  ) -> (descriptors: [Int32], errno: Int32) {
    let shared = threads > 1
    // SO_REUSEPORT would join a stranger's port without a word, so it is first taken alone.
    if shared && at.port != 0 {
      let probe = open(&at, shared: false, configuration)
      guard probe >= 0 else { return ([], -probe) }
      ik_close_owned(probe)
    }
    var opened: [Int32] = []
    for _ in 0..<threads {
      let descriptor = open(&at, shared: shared, configuration)
      guard descriptor >= 0 else {
        for one in opened { ik_close_owned(one) }
        return ([], -descriptor)
      }
      opened.append(descriptor)
      // With port 0 the first socket chooses, the others follow.
      _ = unsafe ik_endpoint_of(descriptor, 0, &at)
    }
    return (opened, 0)
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
    case ENODEV: return ListenPlaces.noInterface(configuration.ifname ?? "")
    case EPERM:
      return IngestError(
        .noPrivilege, "no permission to bind to interface \(configuration.ifname ?? "")",
        remedy: "binding to an interface needs CAP_NET_RAW, or leave --ifname out")
    case EADDRNOTAVAIL:
      return IngestError(
        .failed, "\(place) is not an address of this machine",
        remedy: "`ip -br address` lists the addresses; without --listen all of --ifname's are "
          + "taken, without that all of this machine's")
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
