import FoundationEssentials
import Glibc
import IngestTestSupport
import Testing

@testable import NICControl

@Suite("links")
struct LinkTests {
  /// A link that no machine has.
  static func gone() throws -> Link {
    var bytes = [UInt8](repeating: 0, count: 16)
    bytes.replaceSubrange(4..<8, with: littleEndianBytes(of: UInt32(0x7fff_fff0)))
    var writer = AttributeWriter()
    writer.add(3, text: "no-such-link")
    writer.add(4, UInt32(1500))
    return try Link(message: bytes + writer.bytes)
  }

  @Test("a NIC with an XDP program")
  func nic() throws {
    let link = try Link(message: LinkMessages.samples[0])
    #expect(link.index == 7)
    #expect(link.name == "zc0")
    #expect(link.mtu == 9000)
    #expect(link.isUp && link.hasCarrier && !link.isLoopback)
    #expect(link.xdp == Link.XDPProgram(mode: .driver, identifier: 55))
    #expect(link.parent == Link.ParentDevice(bus: "pci", name: "0000:3b:00.0"))
    #expect(link.kind == nil)
  }

  @Test("a virtual interface that is down, without XDP")
  func virtual() throws {
    let link = try Link(message: LinkMessages.samples[1])
    #expect(link.kind == "netkit")
    #expect(link.xdp == nil && link.parent == nil)
    #expect(!link.isUp && !link.hasCarrier)
  }

  @Test("a message cut anywhere is an error or lacks only what was cut off")
  func cut() throws {
    let whole = LinkMessages.message {
      $0.nest(18) { $0.add(1, text: "veth") }
      $0.nest(43) { $0.add(2, UInt8(4)) }
    }
    #expect(try Link(message: whole).xdp == Link.XDPProgram(mode: .several, identifier: nil))
    for length in 0..<whole.count - 3 {
      guard let link = try? Link(message: Array(whole.prefix(length))) else { continue }
      #expect(link.name == "zc0" && link.xdp == nil, "\(length) bytes")
    }
  }

  @Test("lo is found by name and by number, without privilege")
  func loopback() throws {
    let access = try NICAccess()
    let byName = try access.link(named: "lo")
    #expect(byName.isLoopback)
    #expect(byName.parent == nil && byName.kind == nil)
    #expect(try access.link(index: byName.index).name == "lo")
    #expect(try access.links().map(\.name).contains("lo"))
  }

  @Test(
    "a name that nobody has is ENODEV, however odd it is",
    arguments: [
      "no-such-link", "", "a/b", String(repeating: "x", count: 100), "x\u{0}y",
      String(repeating: "y", count: 200),
    ])
  func missing(name: String) throws {
    let access = try NICAccess()
    let error = #expect(throws: NetlinkError.self) { try access.link(named: name) }
    #expect(error?.errno == ENODEV)
    #expect(error?.description.hasPrefix("could not find interface \(name)") == true)
    for index in [0, UInt32.max, 0x7fff_fff0] {
      let error = #expect(throws: NetlinkError.self) { try access.link(index: index) }
      #expect(error?.errno == ENODEV)
    }
  }

  private struct Shown: Decodable {
    struct Info: Decodable {
      var kind: String?
      enum CodingKeys: String, CodingKey { case kind = "info_kind" }
    }
    var ifindex: UInt32
    var ifname: String
    var flags: [String]
    var mtu: UInt32
    var linkinfo: Info?
  }

  @Test(
    "all links of a namespace, as `ip` shows them",
    .enabled(if: TestNamespace.isAvailable, "a network namespace needs root"))
  func sameAsIP() throws {
    try TestNamespace.run {
      try TestNamespace.shell("ip link add v0 mtu 1400 type veth peer name v1")
      try TestNamespace.shell("ip link set v0 up && ip link add br9 type bridge")
      try TestNamespace.shell("ip link property add dev v1 altname a-name-longer-than-sixteen")
      let access = try NICAccess()
      let text = try TestNamespace.shell("ip -j -d link show")
      let shown = try JSONDecoder().decode([Shown].self, from: Data(text.utf8))
      let links = try access.links()
      #expect(links.map(\.name) == shown.map(\.ifname))
      #expect(links.map(\.index) == shown.map(\.ifindex))
      #expect(links.map(\.mtu) == shown.map(\.mtu))
      #expect(links.map(\.kind) == shown.map { $0.linkinfo?.kind })
      #expect(links.map(\.isUp) == shown.map { $0.flags.contains("UP") })
      #expect(links.map(\.hasCarrier) == shown.map { $0.flags.contains("LOWER_UP") })
      #expect(links.count == 4)
      #expect(try access.link(named: "a-name-longer-than-sixteen").name == "v1")
    }
  }
}
