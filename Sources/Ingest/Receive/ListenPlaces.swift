import CIngestKernel
import Glibc
import NICControl
import RingCore

/// Where a receiver listens, before it does.
///
/// With an interface and no address these are the interface's own addresses, a socket for each:
/// one for every address, bound to the interface, would also take what comes there for the
/// machine's other addresses, since a Linux host answers for all of them on each of its interfaces.
struct ListenPlaces {
  /// IPv4 first; port 0 leaves it to the kernel.
  let endpoints: [ik_endpoint]

  /// How many an engine accepts on, and how long an address that IPv6 still checks is waited for.
  static let most = 32
  private static let patience: UInt64 = 5_000_000_000

  /// Errors: a name that cannot be resolved, an interface that is not there or has no address.
  init(
    _ configuration: ReceiveConfiguration, tell: (String) -> Void = { _ in }
  ) throws(IngestError) {
    let family: Int32 =
      switch configuration.family {
      case .any: AF_UNSPEC
      case .ipv4: AF_INET
      case .ipv6: AF_INET6
      }
    if let host = configuration.listen {
      endpoints = [try HostName.resolve(host, port: configuration.port, family: family)]
    } else if let ifname = configuration.ifname {
      let addresses = try ListenPlaces.addresses(of: ifname, configuration.family, tell)
      endpoints = addresses.map { ik_endpoint($0.bytes, port: configuration.port) }
    } else {
      // The IPv6 wildcard takes IPv4 too, unless -6 was asked for.
      var any = ik_endpoint()
      any.family = UInt16(family == AF_INET || !ListenPlaces.hasIPv6() ? AF_INET : AF_INET6)
      any.port = configuration.port
      endpoints = [any]
    }
  }

  /// What arrives there, as a NIC is told.
  func flows(_ family: AddressFamily) -> [NICWish.Flow] {
    endpoints.flatMap { endpoint -> [NICWish.Flow] in
      let isIPv6 = endpoint.family == UInt16(AF_INET6)
      var raw = endpoint
      let bytes = unsafe withUnsafeBytes(of: &raw.address) { bytes in
        unsafe Array(bytes.prefix(isIPv6 ? 16 : 4))
      }
      guard bytes.allSatisfy({ $0 == 0 }) else {
        return [NICWish.Flow(port: endpoint.port, isIPv6: isIPv6, address: bytes)]
      }
      return [
        isIPv6 && family == .ipv6 ? nil : NICWish.Flow(port: endpoint.port, isIPv6: false),
        isIPv6 ? NICWish.Flow(port: endpoint.port, isIPv6: true) : nil,
      ].compactMap { $0 }
    }
  }

  private static func addresses(
    of ifname: String, _ family: AddressFamily, _ tell: (String) -> Void
  ) throws(IngestError) -> [InterfaceAddress] {
    let until = ik_clock_ns() + patience
    var isTold = false
    while true {
      let (link, all) = try read(ifname)
      let found = all.filter { address in
        address.isListenable(onLoopback: link.isLoopback)
          && (family == .any || address.isIPv6 == (family == .ipv6))
      }
      if found.contains(where: { $0.isTentative }), ik_clock_ns() < until {
        if !isTold { tell("waiting for \(ifname) to see whether its IPv6 address is taken") }
        isTold = true
        usleep(50_000)
        continue
      }
      let ready = found.filter { !$0.isTentative }
      guard ready.count <= most else {
        throw IngestError(
          .usage, "\(ifname) has \(ready.count) addresses, more than \(most) to listen on",
          remedy: "--listen names one; --listen :: takes whatever arrives on \(ifname)")
      }
      if !ready.isEmpty { return ready }
      let version = family == .any ? "" : family == .ipv4 ? "IPv4 " : "IPv6 "
      let example = family == .ipv6 ? "2001:db8::1/64" : "192.0.2.1/24"
      throw IngestError(
        .failed, "\(ifname) has no \(version)address to listen on",
        remedy: "`ip address add \(example) dev \(ifname)` gives it one; --listen :: takes "
          + "whatever arrives there")
    }
  }

  private static func read(_ ifname: String) throws(IngestError) -> (Link, [InterfaceAddress]) {
    do throws(NetlinkError) {
      let access = try NICAccess()
      let link = try access.link(named: ifname)
      return (link, try access.addresses(of: link))
    } catch {
      guard error.errno == ENODEV else { throw IngestError(NICPlanError(error)) }
      throw noInterface(ifname)
    }
  }

  static func noInterface(_ ifname: String) -> IngestError {
    IngestError(
      .failed, "no such interface: \(ifname)",
      remedy: "`ip -br link` lists the interfaces of this network namespace")
  }

  private static func hasIPv6() -> Bool {
    let descriptor = socket(AF_INET6, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { return false }
    close(descriptor)
    return true
  }
}

extension ik_endpoint {
  /// Of 4 or 16 bytes in network order.
  fileprivate init(_ bytes: [UInt8], port: UInt16) {
    self.init()
    family = UInt16(bytes.count == 16 ? AF_INET6 : AF_INET)
    self.port = port
    unsafe withUnsafeMutableBytes(of: &address) { unsafe $0.copyBytes(from: bytes.prefix(16)) }
  }
}
