import CNetlink

/// Reads the settings of network devices from the kernel: rtnetlink, the generic netlink families
/// "ethtool" and "netdev", and the ethtool ioctl for what has no netlink.
///
/// It sees the network namespace of the thread that made it. Reads need no privilege. A thread at
/// a time may use it.
///
/// - Cost: three descriptors; each read is one or a few system calls, some of which wait for the
///   kernel's configuration lock.
public final class NICAccess {
  let route: NetlinkSocket
  let ioctl: EthtoolSocket
  private let ethtoolFamily: Result<GenericFamily, NetlinkError>
  private let netdevFamily: Result<GenericFamily, NetlinkError>

  /// Opens the sockets. A family that this kernel lacks is an error of the reads that need it.
  public init() throws(NetlinkError) {
    route = try NetlinkSocket(protocol: NETLINK_ROUTE)
    ioctl = try EthtoolSocket()
    let generic = try NetlinkSocket(protocol: NETLINK_GENERIC)
    ethtoolFamily = Result { () throws(NetlinkError) in
      try GenericFamily("ethtool", on: generic)
    }
    netdevFamily = Result { () throws(NetlinkError) in
      try GenericFamily("netdev", on: generic)
    }
  }

  /// Linux 5.6; the pieces read here 5.7 to 6.14.
  func ethtool() throws(NetlinkError) -> GenericFamily { try ethtoolFamily.get() }

  /// Linux 6.3; queues and NAPI instances 6.8, their statistics 6.10.
  func netdev() throws(NetlinkError) -> GenericFamily { try netdevFamily.get() }
}
