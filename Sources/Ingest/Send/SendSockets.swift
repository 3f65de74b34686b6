import CIngestKernel
import Glibc
import RingCore

/// The connected sockets of a sender; closed when they go.
struct SendSockets: ~Copyable {
  private(set) var descriptors: [Int32] = []
  private(set) var remote = Endpoint()
  /// The most addresses of one name that are tried.
  static let mostAddresses: Int32 = 16

  /// Addresses of a name, in the resolver's order (RFC 6724).
  static func resolve(_ wanted: SendConfiguration) throws(IngestError) -> [ik_endpoint] {
    let family: Int32 =
      switch wanted.family {
      case .any: AF_UNSPEC
      case .ipv4: AF_INET
      case .ipv6: AF_INET6
      }
    var list = [ik_endpoint](repeating: ik_endpoint(), count: Int(mostAddresses))
    let count = unsafe list.withUnsafeMutableBufferPointer { memory in
      unsafe ik_resolve(wanted.host, wanted.port, family, memory.baseAddress!, mostAddresses)
    }
    guard count > 0 else {
      let why = count == 0 ? "no address" : unsafe String(cString: ik_resolve_error(count))
      throw IngestError(
        .failed, "unknown host \(wanted.host): \(why)",
        remedy: "`getent ahosts \(wanted.host)` asks the same resolver; -4 and -6 narrow the family"
      )
    }
    return Array(list.prefix(Int(min(count, mostAddresses))))
  }

  /// Connects every stream. The first one settles which of the addresses is used.
  init(_ wanted: SendConfiguration, to addresses: [ik_endpoint]) throws(IngestError) {
    var opened: [Int32] = []
    var usable = addresses
    for _ in 0..<wanted.streams {
      let result = SendSockets.connect(wanted, to: usable)
      guard result.descriptor >= 0 else {
        for one in opened { close(one) }
        throw SendSockets.refusal(-result.descriptor, result.address, wanted, opened.count)
      }
      opened.append(result.descriptor)
      usable = [result.address]
    }
    descriptors = opened
    remote = Endpoint(raw: usable[0])
  }

  deinit { for descriptor in descriptors { close(descriptor) } }

  private static func connect(
    _ wanted: SendConfiguration, to addresses: [ik_endpoint]
  ) -> (descriptor: Int32, address: ik_endpoint) {
    let type = Int32(wanted.transport == .tcp ? SOCK_STREAM.rawValue : SOCK_DGRAM.rawValue)
    let time = Int32(clamping: Int64(wanted.connectTimeout * 1000))
    let buffer = Int32(clamping: wanted.socketBuffer)
    var error: Int32 = -EHOSTUNREACH
    for address in addresses {
      var address = address
      if let congestion = wanted.congestion {
        error = unsafe ik_connect(&address, type, time, congestion, buffer)
      } else {
        error = unsafe ik_connect(&address, type, time, nil, buffer)
      }
      if error >= 0 { return (error, address) }
      // Waiting as long for the next address would double the limit; others fail at once.
      if error == -ETIMEDOUT || error == -ENOENT { return (error, address) }
    }
    return (error, addresses.last ?? ik_endpoint())
  }

  /// Says why a connection failed, and what to do.
  private static func refusal(
    _ error: Int32, _ address: ik_endpoint, _ wanted: SendConfiguration, _ before: Int
  ) -> IngestError {
    let place = "\(Endpoint(raw: address))"
    let named = wanted.host == Endpoint(raw: address).address ? place : "\(wanted.host) (\(place))"
    let which = before > 0 ? "stream \(before + 1) of \(wanted.streams) to \(named)" : named
    switch error {
    case ECONNREFUSED:
      return IngestError(
        .peerFailed, "connection refused by \(which)",
        remedy: "nothing listens there: start `ingest --port \(address.port)` first, "
          + "or check the port with `ss -ltn` on that host")
    case ETIMEDOUT:
      return IngestError(
        .peerFailed, "no answer from \(which) within \(wanted.connectTimeout) s",
        remedy: "a firewall may drop the packets, or the host is down: try `ping`; "
          + "--connect-timeout waits longer")
    case ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL:
      return IngestError(
        .peerFailed, "no route to \(which)",
        remedy: "`ip route get \(Endpoint(raw: address).address)` shows what the kernel knows")
    case ENOENT where wanted.congestion != nil:
      return IngestError(
        .usage, "unknown congestion control: \(wanted.congestion ?? "")",
        remedy: "`sysctl net.ipv4.tcp_available_congestion_control` lists what there is")
    case EPERM, EACCES:
      return IngestError(
        .noPrivilege, "not permitted to connect to \(which)",
        remedy: wanted.congestion == nil
          ? "a firewall rule rejects it: see `nft list ruleset`"
          : "`sysctl net.ipv4.tcp_allowed_congestion_control` lists what users may choose")
    case EMFILE, ENFILE:
      return IngestError(
        .failed, "too many open files for \(wanted.streams) streams",
        remedy: "raise the limit with `ulimit -n`")
    default:
      return IngestError(
        .peerFailed,
        "cannot connect to \(which): \(unsafe String(cString: strerror(error)))")
    }
  }

  /// The congestion control of a TCP socket, nil elsewhere.
  static func congestion(of descriptor: Int32) -> String? {
    var name = [CChar](repeating: 0, count: 32)
    let error = unsafe name.withUnsafeMutableBufferPointer { memory in
      unsafe ik_get_congestion(descriptor, memory.baseAddress!, Int32(memory.count))
    }
    guard error == 0 else { return nil }
    let bytes = name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    return String(decoding: bytes, as: UTF8.self)
  }
}
