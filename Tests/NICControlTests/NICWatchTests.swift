import Glibc
import Testing

@testable import NICControl

@Suite("changes of a NIC")
struct NICChangeTests {
  private func read(_ payload: [UInt8], interface: UInt32 = 7) throws -> NICChange? {
    try NICChange.ethtool(payload, interface: interface)
  }

  @Test("settings of the ethtool family, by the number of the notification")
  func settings() throws {
    #expect(try read(NotificationMessages.ethtool(17) { $0.add(11, UInt8(2)) }) == .rings)
    #expect(try read(NotificationMessages.ethtool(19)) == .channels)
    #expect(try read(NotificationMessages.ethtool(13)) == .features)
    #expect(try read(NotificationMessages.ethtool(50)) == .scaling(context: 0))
    let context: (inout AttributeWriter) -> Void = { $0.add(2, UInt32(3)) }
    #expect(try read(NotificationMessages.ethtool(50, context)) == .scaling(context: 3))
    #expect(try read(NotificationMessages.ethtool(52, context)) == .contextCreated(3))
    #expect(try read(NotificationMessages.ethtool(53, context)) == .contextDeleted(3))
    #expect(try read(NotificationMessages.ethtool(21)) == .setting(notification: 21))
    #expect(try read(NotificationMessages.ethtool(17), interface: 8) == nil)
    // A message about no interface.
    #expect(try read([17, 1, 0, 0]) == nil)
    for short: [UInt8] in [[], [17], [17, 1, 0]] {
      #expect(throws: MalformedMessage.self) { try read(short) }
    }
  }

  @Test("devices and page pools of the netdev family")
  func devices() throws {
    func read(_ payload: [UInt8]) throws -> NICChange? {
      try NICChange.netdev(payload, interface: 7)
    }
    #expect(try read(NotificationMessages.netdev(4) { $0.add(1, UInt32(7)) }) == .xdpFeatures)
    #expect(try read(NotificationMessages.netdev(4) { $0.add(1, UInt32(9)) }) == nil)
    for command in UInt8(6)...8 {
      #expect(try read([command, 1, 0, 0] + NetdevMessages.pagePool) == .pagePools)
    }
    // A pool whose interface is gone, and an answer to somebody's request.
    #expect(try read(NotificationMessages.netdev(7) { $0.add(1, UInt32(16)) }) == nil)
    #expect(try read([10, 1, 0, 0] + NetdevMessages.ioUringQueue) == nil)
  }

  @Test("links, and messages of bridges about their ports")
  func links() throws {
    let message = LinkMessages.message { $0.add(56, text: "0000:3b:00.0") }
    func read(
      _ type: UInt16, _ payload: [UInt8], interface: UInt32 = 7
    ) throws -> NICChange? {
      try NICChange.route(Notification(type: type, payload: payload), interface: interface)
    }
    #expect(try read(16, message) == .link(try Link(message: message)))
    #expect(try read(17, message) == .removed)
    #expect(try read(16, message, interface: 1) == nil)
    #expect(try read(20, message) == nil)
    var bridge = message
    bridge[0] = 7  // AF_BRIDGE
    #expect(try read(17, bridge) == nil)
    #expect(try read(16, bridge) == nil)
    #expect(throws: MalformedMessage.self) { try read(16, Array(message.prefix(15))) }
    #expect(throws: MalformedMessage.self) { try read(16, Array(message.prefix(16))) }
  }
}

extension NICWatch {
  /// What changed within two seconds, until a change that `isLast` is among it.
  func changes(until isLast: (NICChange) -> Bool) throws -> [NICChange] {
    var changes: [NICChange] = []
    for _ in 0..<20 {
      var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      guard unsafe poll(&entry, 1, 100) > 0 else { continue }
      changes += try read()
      if changes.contains(where: isLast) { break }
    }
    return changes
  }
}

@Suite(
  "changes of a veth, live",
  .enabled(if: TestNamespace.isAvailable, "a network namespace needs root"))
struct NICWatchLiveTests {
  private func withVeth(_ body: (NICAccess, Link) throws -> Void) throws {
    try TestNamespace.run {
      try TestNamespace.shell(
        "ip link add v0 numrxqueues 4 numtxqueues 4 type veth peer name v1")
      let access = try NICAccess()
      try body(access, try access.link(named: "v0"))
    }
  }

  @Test("settings, by whom they are made does not matter")
  func settings() throws {
    try withVeth { access, link in
      let watch = try NICWatch(interface: link.index)
      #expect(try watch.read().isEmpty)
      try TestNamespace.shell("ethtool -L v0 rx 2 tx 3")
      #expect(try watch.changes { $0 == .channels } == [.channels])
      #expect(try access.channels(of: link).current.receive == 2)
      try TestNamespace.shell("ethtool -K v0 rx-gro-list on")
      let features = try watch.changes { if case .link = $0 { true } else { false } }
      #expect(features.first == .features && features.count == 2)
      // Another interface of the namespace.
      try TestNamespace.shell("ethtool -K v1 rx-gro-list on && ip link set v1 mtu 1400")
      #expect(try watch.read().isEmpty)
    }
  }

  @Test("up, carrier, MTU and another name; a bridge's words about its port; the end")
  func links() throws {
    try withVeth { access, link in
      let watch = try NICWatch(interface: link.index)
      func last(_ isLast: (Link) -> Bool) throws -> Link? {
        let changes = try watch.changes {
          if case .link(let link) = $0 { isLast(link) } else { false }
        }
        guard case .link(let link) = changes.last else { return nil }
        return link
      }
      try TestNamespace.shell("ip link set v0 up && ip link set v1 up")
      #expect(try last(\.hasCarrier)?.isUp == true)
      let losses = try access.link(index: link.index).carrierLosses
      try TestNamespace.shell("ip link set v1 down && ip link set v1 up")
      #expect(try last { $0.hasCarrier && $0.carrierLosses != losses } != nil)
      try TestNamespace.shell("ip link set v0 mtu 1400")
      #expect(try last { $0.mtu == 1400 } == (try access.link(named: "v0")))
      try TestNamespace.shell("ip link set v0 down")
      #expect(try last { !$0.isUp }?.hasCarrier == false)
      try TestNamespace.shell("ip link set v0 name other")
      #expect(try last { $0.name == "other" } == (try access.link(index: link.index)))
      try TestNamespace.shell(
        "ip link add br9 type bridge && ip link set other master br9 && ip link set other nomaster")
      #expect(try !watch.read().contains(.removed))
      #expect(try access.link(index: link.index).name == "other")
      try TestNamespace.shell("ip link del other")
      #expect(try watch.changes { $0 == .removed }.last == .removed)
      try TestNamespace.shell("ip link set lo up")
      #expect(try watch.read().isEmpty)
    }
  }

  @Test("an XDP program that is attached and detached")
  func xdp() throws {
    try withVeth { access, link in
      try TestNamespace.shell("ip link set v0 up && ip link set v1 up")
      let watch = try NICWatch(interface: link.index)
      let program = try TestXDP()
      func seen() throws -> Link? {
        let changes = try watch.changes { if case .link = $0 { true } else { false } }
        guard case .link(let link) = changes.last else { return nil }
        return link
      }
      try program.attach(to: link, access)
      #expect(try seen()?.xdp?.mode == .generic)
      try TestXDP.detach(from: link, access)
      let after = try #require(try seen())
      #expect(after.xdp == nil && after.isUp)
    }
  }

  @Test("messages that were lost are told of, and what comes later is seen again")
  func overrun() throws {
    try withVeth { _, link in
      let watch = try NICWatch(interface: link.index, receiveBuffer: 4096)
      try TestNamespace.shell(
        "for n in $(seq 60); do echo link set v0 mtu $((1300 + n)); done | ip -batch -")
      let changes = try watch.changes { $0 == .overrun }
      #expect(changes.first == .overrun)
      #expect(try watch.read().isEmpty)
      try TestNamespace.shell("ip link set v0 mtu 1500")
      let after = try watch.changes { if case .link = $0 { true } else { false } }
      guard case .link(let seen) = after.first else {
        Issue.record("\(after)")
        return
      }
      #expect(after.count == 1 && seen.mtu == 1500)
    }
  }

  @Test("a burst that fits is told whole")
  func burst() throws {
    try withVeth { _, link in
      let watch = try NICWatch(interface: link.index)
      try TestNamespace.shell(
        "for n in $(seq 20); do echo link set v0 mtu $((1300 + n)); done | ip -batch -")
      let mtus = try watch.changes { _ in true }.compactMap { change -> UInt32? in
        if case .link(let link) = change { link.mtu } else { nil }
      }
      #expect(mtus == Array(1301...1320))
    }
  }

  @Test("a watch leaves no descriptor behind")
  func descriptors() throws {
    func open() -> Int { SystemFiles.names(in: "/proc/self/fd").count }
    try withVeth { _, link in
      for _ in 0..<3 { _ = try NICWatch(interface: link.index).read() }
      // Tests that run beside this one open some, too, but not this many.
      let before = open()
      for _ in 0..<60 { _ = try NICWatch(interface: link.index).read() }
      #expect(open() < before + 50)
    }
  }
}
