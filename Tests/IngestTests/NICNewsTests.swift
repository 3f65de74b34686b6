import Testing

@testable import Ingest
@testable import NICControl

@Suite("news of a NIC")
struct NICNewsTests {
  private static func link(
    name: String = "eth1", isUp: Bool = true, hasCarrier: Bool = true, carrierLosses: UInt32? = 1,
    mtu: UInt32 = 1500, xdp: Link.XDPProgram? = nil
  ) -> Link {
    Link(
      index: 7, name: name, isUp: isUp, hasCarrier: hasCarrier, carrierLosses: carrierLosses,
      isLoopback: false, mtu: mtu, kind: nil, xdp: xdp, parent: nil)
  }

  @Test("each change of the link is told, and nothing else")
  func links() {
    let before = NICNewsTests.link()
    #expect(NICFollower.news(from: before, to: before).isEmpty)
    let program = Link.XDPProgram(mode: .driver, identifier: 5)
    let changes: [(Link, NICNews.Kind, String)] = [
      (NICNewsTests.link(isUp: false), .link, "it was set down"),
      (NICNewsTests.link(hasCarrier: false), .link, "the link is down: no carrier"),
      (NICNewsTests.link(carrierLosses: 2), .link, "the link was down for a moment"),
      (NICNewsTests.link(name: "nic"), .link, "its name is nic now"),
      (NICNewsTests.link(mtu: 9000), .drift, "its MTU is 9000; it was 1500"),
      (NICNewsTests.link(xdp: program), .drift, "an XDP program was attached"),
    ]
    for (after, kind, text) in changes {
      #expect(NICFollower.news(from: before, to: after) == [NICNews(kind: kind, text: text)])
    }
    let down = NICNewsTests.link(isUp: false, hasCarrier: false)
    #expect(
      NICFollower.news(from: down, to: before).map(\.text) == ["it was set up", "the link is up"])
  }
}
