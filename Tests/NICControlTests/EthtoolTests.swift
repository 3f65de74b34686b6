import FoundationEssentials
import Glibc
import Testing

@testable import NICControl

@Suite("ethtool netlink replies")
struct EthtoolTests {
  @Test("rings: split, threshold and sizes")
  func rings() throws {
    let rings = try Rings(Attributes(EthtoolMessages.rings[...]))
    #expect(rings.receive == 1024)
    #expect(rings.receiveMaximum == 8192)
    #expect(rings.receiveBufferLength == 4096)
    #expect(rings.tcpDataSplit == .disabled)
    #expect(rings.headerSplitThreshold == 256)
    #expect(rings.headerSplitThresholdMaximum == 1023)
    let bare = try Rings(Attributes(EthtoolMessages.attributes { _ in }[...]))
    #expect(bare == Rings())
  }

  @Test("channels: combined ones receive, too")
  func channels() throws {
    let channels = try Channels(Attributes(EthtoolMessages.channels[...]))
    #expect(channels.current.combined == 8)
    #expect(channels.maximum.combined == 16)
    #expect(channels.current.other == 1)
    #expect(channels.current.receiveQueues == 8)
    let apart = try Channels(
      Attributes(
        EthtoolMessages.attributes {
          $0.add(6, UInt32(2))
          $0.add(7, UInt32(3))
          $0.add(9, UInt32(4))
        }[...]))
    #expect(apart.current.receiveQueues == 6)
    #expect(apart.current.transmit == 3)
  }

  @Test("features: plain sets, and sets with a mask")
  func features() throws {
    let features = try Features(Attributes(EthtoolMessages.features[...]))
    #expect(features.changeable == ["rx-gro-hw", "rx-ntuple-filter", "rx-hashing"])
    #expect(features.wanted == ["rx-hashing"])
    #expect(features.active == ["rx-hashing", "highdma"])
    #expect(features.fixed == ["vlan-challenged"])
  }

  @Test("a bit without a name goes by its number; one without either is left out")
  func namelessBits() throws {
    var writer = AttributeWriter()
    writer.add(1, bytes: [])
    writer.nest(3) {
      $0.nest(1) { $0.add(1, UInt32(70)) }
      $0.nest(1) { _ in }
    }
    let bits = try Bitset(Attributes(writer.bytes[...]))
    #expect(bits.set == ["bit-70"])
    #expect(bits.mask == nil)
  }

  @Test("RSS: indirection, key and context")
  func scaling() throws {
    let scaling = try ReceiveSideScaling(Attributes(EthtoolMessages.scaling[...]))
    #expect(scaling.context == 3)
    #expect(scaling.hashFunction == 1)
    #expect(scaling.indirection == [0, 1, 0, 1])
    #expect(scaling.key == Array(0..<40))
    #expect(scaling.inputTransformation == 0)
    let bare = try ReceiveSideScaling(Attributes(EthtoolMessages.attributes { _ in }[...]))
    #expect(bare.context == 0 && bare.indirection.isEmpty && bare.hashFunction == nil)
  }
}

@Suite("ethtool, live")
struct EthtoolLiveTests {
  @Test("a refusal comes with the kernel's words")
  func words() throws {
    let access = try NICAccess()
    let loopback = try access.link(named: "lo")
    let error = #expect(throws: NetlinkError.self) { try access.rings(of: LinkTests.gone()) }
    #expect(error?.errno == ENODEV)
    #expect(error?.message?.isEmpty == false)
    #expect(error?.request == "read the rings of no-such-link")
    let none = #expect(throws: NetlinkError.self) { try access.rings(of: loopback) }
    #expect(none?.isNotSupported == true)
    // After a refusal the socket goes on.
    #expect(try access.features(of: loopback).active.contains("loopback"))
  }

  /// A member of `ethtool --json -k`: a feature, or the name of the interface.
  private struct Shown: Decodable {
    var active: Bool?

    init(from decoder: any Decoder) throws {
      enum Key: CodingKey { case active }
      active = try? decoder.container(keyedBy: Key.self).decode(Bool.self, forKey: .active)
    }
  }

  @Test(
    "features and channels of a veth, as ethtool shows them",
    .enabled(if: TestNamespace.isAvailable, "a network namespace needs root"))
  func sameAsEthtool() throws {
    try TestNamespace.run {
      try TestNamespace.shell(
        "ip link add v0 numrxqueues 4 numtxqueues 4 type veth peer name v1 numrxqueues 2")
      try TestNamespace.shell("ethtool -K v0 rx-gro-list on && ethtool -L v0 rx 3 tx 2")
      let access = try NICAccess()
      let link = try access.link(named: "v0")
      let channels = try access.channels(of: link)
      #expect(channels.current.receive == 3 && channels.current.transmit == 2)
      #expect(channels.maximum.receive == 4 && channels.current.receiveQueues == 3)
      let text = try TestNamespace.shell("ethtool --json -k v0")
      let features = try access.features(of: link)
      #expect(features.active.contains("rx-gro-list") && features.wanted.contains("rx-gro-list"))
      #expect(try compared(features, with: text) > 20)
      #expect(throws: NetlinkError.self) { try access.receiveSideScaling(of: link) }
    }
  }

  /// How many features go by the same name in ethtool's output; each must have the same state.
  private func compared(_ features: Features, with text: String) throws -> Int {
    let names = features.active.union(features.changeable).union(features.fixed)
    let shown = try JSONDecoder().decode([[String: Shown]].self, from: Data(text.utf8))
    var compared = 0
    for (name, entry) in try #require(shown.first) {
      guard names.contains(name), let active = entry.active else { continue }
      #expect(active == features.active.contains(name), "\(name)")
      compared += 1
    }
    return compared
  }
}
