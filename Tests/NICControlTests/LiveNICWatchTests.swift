import Testing

@testable import NICControl

/// What the kernel tells of changes that only a NIC has.
extension LiveNICTests {
  @Test("a watch tells of rings, channels and the page pools that come with them")
  func watchedRings() throws {
    let watch = try NICWatch(interface: link.index)
    let rings = try access.rings(of: link)
    let other = rings.receive == 512 ? 256 : 512
    try TestNamespace.shell("ethtool -G \(link.name) rx \(other)")
    #expect(try watch.changes { $0 == .rings }.contains(.rings))
    try TestNamespace.shell("ethtool -G \(link.name) rx \(try #require(rings.receive))")
    #expect(try watch.changes { $0 == .rings }.contains(.rings))
    let channels = try access.channels(of: link)
    _ = try watch.read()
    try TestNamespace.shell("ethtool -L \(link.name) combined 3")
    let changes = try watch.changes { $0 == .channels }
    #expect(changes.contains(.channels) && changes.contains(.pagePools), "\(changes)")
    #expect(!changes.contains(.overrun) && !changes.contains(.rings))
    try TestNamespace.shell("ethtool -L \(link.name) combined \(channels.current.combined)")
    #expect(try watch.changes { $0 == .channels }.contains(.channels))
  }

  @Test("a watch tells of the indirection table, and of RSS contexts by their numbers")
  func watchedScaling() throws {
    let watch = try NICWatch(interface: link.index)
    try TestNamespace.shell("ethtool -X \(link.name) equal 2")
    #expect(try watch.changes { $0 == .scaling(context: 0) } == [.scaling(context: 0)])
    let said = try TestNamespace.shell("ethtool -X \(link.name) context new start 2 equal 2")
    let number = try #require(
      said.split(whereSeparator: \.isWhitespace).last.flatMap { UInt32($0) })
    #expect(
      try watch.changes { $0 == .contextCreated(number) }.contains(.contextCreated(number)))
    try TestNamespace.shell("ethtool -X \(link.name) context \(number) equal 2")
    let changed = NICChange.scaling(context: number)
    #expect(try watch.changes { $0 == changed }.contains(changed))
    try TestNamespace.shell("ethtool -X \(link.name) context \(number) delete")
    let deleted = NICChange.contextDeleted(number)
    #expect(try watch.changes { $0 == deleted }.contains(deleted))
    try TestNamespace.shell("ethtool -X \(link.name) default")
    #expect(try watch.changes { $0 == .scaling(context: 0) }.contains(.scaling(context: 0)))
  }

  @Test("a watch tells of a feature, but not of n-tuple rules")
  func watchedRules() throws {
    try TestNamespace.shell("ethtool -K \(link.name) ntuple off")
    let watch = try NICWatch(interface: link.index)
    try TestNamespace.shell("ethtool -K \(link.name) ntuple on")
    #expect(try watch.changes { $0 == .features }.contains(.features))
    _ = try watch.read()
    try TestNamespace.shell("ethtool -N \(link.name) flow-type tcp4 dst-port 9001 action 1 >&2")
    let rules = try access.flowRules(of: link).rules
    #expect(rules.count == 1)
    for rule in rules {
      try TestNamespace.shell("ethtool -N \(link.name) delete \(rule.location)")
    }
    #expect(try watch.read().isEmpty)
  }

  @Test("the NAPI instance of a queue is set, and read back")
  func napi() throws {
    let instances = try access.napis(of: link)
    let before = try #require(instances.first)
    try access.setNAPI(
      before.identifier, NAPI.Settings(deferHardIRQs: 7, groFlushTimeout: 30_000))
    var expected = before
    expected.deferHardIRQs = 7
    expected.groFlushTimeout = 30_000
    #expect(try access.napis(of: link).first { $0.identifier == before.identifier } == expected)
    try access.setNAPI(
      before.identifier,
      NAPI.Settings(
        deferHardIRQs: before.deferHardIRQs, groFlushTimeout: before.groFlushTimeout))
    #expect(try access.napis(of: link) == instances)
  }
}
