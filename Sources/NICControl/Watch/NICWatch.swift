import CIngestKernel
import CNetlink
import Glibc

/// Tells of changes of one interface as they happen, whoever makes them.
///
/// Open it first and read the settings then: a change in between is told of, too. Some things
/// change without a word, and must be read again and again by who needs them: n-tuple rules, NAPI
/// settings, counters, and an XDP program that is attached by a BPF link (BPF_LINK_CREATE), or
/// while the interface is down.
///
/// It sees the network namespace of the thread that made it, and needs no privilege. A thread at a
/// time may use it.
///
/// - Cost: three descriptors, and up to 400 KiB of kernel memory for messages that were not read.
@safe
public final class NICWatch {
  /// Readable (POLLIN) when ``read()`` has something to say. It is closed with the watch.
  public let descriptor: Int32

  private let interface: UInt32
  private let generic: NotificationSocket
  private let route: NotificationSocket
  private let families: Families
  private var isRemoved = false

  /// The numbers by which the families go on this machine; nil where the kernel lacks one.
  private struct Families {
    var ethtool: UInt16?
    var netdev: UInt16?
  }

  private static let linkGroup: Int32 = 1  // RTNLGRP_LINK
  private static let receiveBuffer: Int32 = 208 << 10

  /// Starts to watch. A family of messages that this kernel lacks is not watched.
  ///
  /// - Parameter interface: the number of the interface (``Link/index``), because its name may
  ///   become another's.
  public convenience init(interface: UInt32) throws(NetlinkError) {
    try self.init(interface: interface, receiveBuffer: NICWatch.receiveBuffer)
  }

  init(interface: UInt32, receiveBuffer: Int32) throws(NetlinkError) {
    let request = "watch interface number \(interface)"
    // A socket that is in a group cannot ask: an answer would stand among what it is told.
    let asking = try NetlinkSocket(protocol: NETLINK_GENERIC)
    var groups: [Int32] = []
    var families = Families()
    if let group = asking.group("monitor", of: "ethtool") {
      families.ethtool = try asking.family("ethtool")
      groups.append(group)
    }
    if asking.group("mgmt", of: "netdev") != nil { families.netdev = try asking.family("netdev") }
    groups += ["mgmt", "page-pool"].compactMap { asking.group($0, of: "netdev") }
    let generic = try NotificationSocket(
      request, protocol: NETLINK_GENERIC, groups: groups, receiveBuffer: receiveBuffer)
    let route = try NotificationSocket(
      request, protocol: NETLINK_ROUTE, groups: [NICWatch.linkGroup], receiveBuffer: receiveBuffer)
    let descriptor = ik_poll_either(generic.descriptor, route.descriptor)
    guard descriptor >= 0 else { throw NetlinkError(request, errno: -descriptor) }
    self.interface = interface
    self.generic = generic
    self.route = route
    self.families = families
    self.descriptor = descriptor
  }

  deinit { close(descriptor) }

  /// What changed since the last call; empty when nothing did. It never waits.
  ///
  /// Settings come before changes of the link, otherwise the order is the kernel's. The same word
  /// twice in a row is said once.
  ///
  /// - Cost: a system call or two for each message about any interface of the network namespace,
  ///   of which a call takes 1024 at most; the descriptor stays readable while there are more.
  public func read() throws(NetlinkError) -> [NICChange] {
    let request = "read what changed of interface number \(interface)"
    let settings = try generic.receive(request)
    let links = try route.receive(request)
    guard !isRemoved else { return [] }
    var changes: [NICChange] = []
    if settings.isOverrun || links.isOverrun { changes.append(.overrun) }
    for message in settings.messages { add(to: &changes, setting(message)) }
    for message in links.messages {
      add(
        to: &changes,
        change { () throws(MalformedMessage) in
          try NICChange.route(message, interface: interface)
        })
    }
    if let end = changes.firstIndex(of: .removed) {
      isRemoved = true
      changes.removeSubrange((end + 1)...)
    }
    return changes
  }

  private func setting(_ message: Notification) -> NICChange? {
    change { () throws(MalformedMessage) in
      switch message.type {
      case families.ethtool: try NICChange.ethtool(message.payload, interface: interface)
      case families.netdev: try NICChange.netdev(message.payload, interface: interface)
      default: nil
      }
    }
  }

  private func change(_ decode: () throws(MalformedMessage) -> NICChange?) -> NICChange? {
    do throws(MalformedMessage) { return try decode() } catch { return .overrun }
  }

  private func add(to changes: inout [NICChange], _ change: NICChange?) {
    guard let change, change != changes.last else { return }
    changes.append(change)
  }
}
