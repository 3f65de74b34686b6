import Glibc
import Testing

@testable import NICControl

/// The virtual NIC of the guest, where this runs there.
private let liveNIC: Link? = {
  guard let access = try? NICAccess(), let links = try? access.links() else { return nil }
  return links.first { link in (try? access.driver(of: link))?.driver == "zcnic" }
}()

/// Settings are made by ethtool, as users make them, and read back here.
@Suite(
  "a NIC, live", .enabled(if: liveNIC != nil, "zcnic is not loaded: needs the guest"), .serialized)
struct LiveNICTests {
  let access: NICAccess
  let link: Link

  init() throws {
    access = try NICAccess()
    link = try #require(liveNIC)
    try TestNamespace.shell("ip link set \(link.name) up")
  }

  @Test("rings, with split and threshold")
  func rings() throws {
    let rings = try access.rings(of: link)
    #expect(rings.tcpDataSplit != nil && rings.headerSplitThreshold != nil)
    let other = rings.receive == 512 ? 256 : 512
    try TestNamespace.shell("ethtool -G \(link.name) rx \(other)")
    #expect(try access.rings(of: link).receive == UInt32(other))
    try TestNamespace.shell("ethtool -G \(link.name) rx \(try #require(rings.receive))")
    #expect(try access.rings(of: link) == rings)
  }

  @Test("channels, queues and their NAPI instances")
  func channels() throws {
    let before = try access.channels(of: link)
    try TestNamespace.shell("ethtool -L \(link.name) combined 3")
    let state = try access.state(of: link.name)
    #expect(state.channels.value?.current.combined == 3)
    #expect(state.receiveQueueCount == 3)
    let queues = state.queues.value?.filter { $0.direction == .receive } ?? []
    #expect(queues.map(\.number) == [0, 1, 2])
    #expect(state.receiveQueuesByNAPI.count == 3)
    #expect(Set(state.napis.value?.map(\.identifier) ?? []) == Set(queues.compactMap(\.napi)))
    #expect(state.pagePools.value?.count { $0.detachTime == nil } == 3)
    try TestNamespace.shell("ethtool -L \(link.name) combined \(before.current.combined)")
    #expect(try access.channels(of: link) == before)
  }

  @Test("the indirection table and RSS contexts")
  func scaling() throws {
    try TestNamespace.shell("ethtool -X \(link.name) equal 2")
    let main = try access.receiveSideScaling(of: link)
    #expect(main.context == 0)
    #expect(Set(main.indirection) == [0, 1])
    #expect(Array(main.indirection.prefix(4)) == [0, 1, 0, 1])
    let key = main.key.map { String(Int($0) | 0x100, radix: 16).suffix(2) }.joined(separator: ":")
    #expect(try TestNamespace.shell("ethtool -x \(link.name)").contains(key))
    let said = try TestNamespace.shell("ethtool -X \(link.name) context new start 2 equal 2")
    let number = try #require(said.split(whereSeparator: \.isWhitespace).last)
    let contexts = try access.contexts(of: link)
    #expect(contexts.map { String($0.context) } == [String(number)])
    #expect(Set(contexts.first?.indirection ?? []) == [2, 3])
    try TestNamespace.shell("ethtool -X \(link.name) context \(number) delete")
    try TestNamespace.shell("ethtool -X \(link.name) default")
    #expect(try access.contexts(of: link).isEmpty)
  }

  @Test("n-tuple rules of each family")
  func rules() throws {
    try TestNamespace.shell("ethtool -K \(link.name) ntuple on")
    #expect(try access.features(of: link).active.contains("rx-ntuple-filter"))
    #expect(try access.flowRules(of: link).rules.isEmpty)
    for rule in ["tcp4 dst-port 9000 action 1", "tcp6 dst-port 80 src-ip 2001:db8::1 action 2"] {
      try TestNamespace.shell("ethtool -N \(link.name) flow-type \(rule) >&2")
    }
    let read = try access.flowRules(of: link)
    let rules = read.rules
    #expect(rules.count == 2 && (read.capacity ?? 0) > 2)
    let four = try #require(rules.first { $0.flow == .tcp4 })
    #expect(four.action == .queue(1, virtualFunction: 0) && four.context == nil)
    #expect(four.matches.map(\.field) == [.destinationPort])
    #expect(four.matches.first?.number == 9000)
    let six = try #require(rules.first { $0.flow == .tcp6 })
    #expect(six.matches.map(\.field) == [.sourceAddress, .destinationPort])
    #expect(six.matches.first?.value.prefix(4) == [0x20, 0x01, 0x0d, 0xb8])
    for rule in rules {
      try TestNamespace.shell("ethtool -N \(link.name) delete \(rule.location)")
    }
    #expect(try access.flowRules(of: link).rules.isEmpty)
  }

  @Test("driver counters in the driver's order, and counters of queues")
  func statistics() throws {
    let names = try access.driverStatistics(of: link).map(\.name)
    let shown = try TestNamespace.shell("ethtool -S \(link.name)").split(separator: "\n")
      .dropFirst()
    #expect(
      names == shown.map { String($0.drop { $0 == " " }.prefix { $0 != ":" }) })
    let queues = try access.queueStatistics(of: link).filter { $0.direction == .receive }
    #expect(queues.allSatisfy { $0.counters[.receivedPackets] != nil })
    #expect(UInt32(queues.count) == (try access.channels(of: link).current.receiveQueues))
  }
}
