import Glibc
import IngestTestSupport
import Testing

@testable import NICControl

@Suite("n-tuple rules")
struct FlowRuleTests {
  @Test("the locations of rules, no more than were counted or are there")
  func locations() throws {
    func read(_ counted: UInt32, _ listed: UInt32, _ locations: [UInt32]) throws -> [UInt32] {
      try FlowRuleList(
        counted: EthtoolStructures.answer(data: 0, count: counted),
        listed: EthtoolStructures.answer(data: 0, count: listed, locations: locations)
      ).locations
    }
    #expect(try read(3, 3, [1, 2, 700]) == [1, 2, 700])
    #expect(try read(3, 2, [1, 2, 700]) == [1, 2])
    #expect(try read(2, 3, [1, 2]) == [1, 2])
    #expect(try read(0, 0, []) == [])
    // More than there is room for.
    #expect(throws: MalformedMessage.self) { try read(3, 3, [1, 2]) }
    let list = EthtoolStructures.ruleList
    let whole = try FlowRuleList(counted: Array(list[..<192]), listed: Array(list[192...]))
    #expect(whole.capacity == 1024 && whole.picksLocations)
  }

  private func rule(_ bytes: [UInt8], context: UInt32 = 0) throws -> FlowRule {
    try #require(FlowRule(specification: bytes[...], context: context))
  }

  @Test("a TCP port to a queue")
  func port() throws {
    let bytes = EthtoolStructures.specification(
      type: 1, cookie: 8, fields: [(10, [0x23, 0x28], [0xff, 0xff])])
    let rule = try rule(bytes)
    #expect(rule.flow == .tcp4)
    #expect(rule.location == 5)
    #expect(rule.action == .queue(8, virtualFunction: 0))
    #expect(rule.context == nil)
    #expect(rule.matches.map(\.field) == [.destinationPort])
    #expect(rule.matches.first?.number == 9000)
    #expect(rule.matches.first?.mask == [0xff, 0xff])
  }

  @Test("addresses and ports of IPv6, into an RSS context")
  func context() throws {
    let address = [UInt8](0..<16)
    let all = [UInt8](repeating: 0xff, count: 16)
    let bytes = EthtoolStructures.specification(
      type: 5 | 0x2000_0000, cookie: 0,
      fields: [(0, address, all), (34, [0, 80], [0xff, 0xff]), (36, [4], [0xfc])])
    let rule = try rule(bytes, context: 2)
    #expect(rule.flow == .tcp6)
    #expect(rule.context == 2)
    #expect(rule.matches.map(\.field) == [.sourceAddress, .destinationPort, .trafficClass])
    #expect(rule.matches.first?.value == address)
    #expect(rule.matches.last?.mask == [0xfc])
  }

  @Test("VLAN tags and the destination MAC beside the rest, only where the type says so")
  func extensions() throws {
    let fields: [(Int, [UInt8], [UInt8])] = [
      (54, [2, 0, 0, 0, 0, 1], [UInt8](repeating: 0xff, count: 6)),
      (62, [0, 7], [0x0f, 0xff]),
    ]
    let plain = EthtoolStructures.specification(type: 2, cookie: 1, fields: fields)
    #expect(try rule(plain).matches.isEmpty)
    let extended = EthtoolStructures.specification(type: 2 | 0x8000_0000, cookie: 1, fields: fields)
    #expect(try rule(extended).matches.map(\.field) == [.vlanTag])
    #expect(try rule(extended).flow == .udp4)
    let both = EthtoolStructures.specification(type: 2 | 0xc000_0000, cookie: 1, fields: fields)
    #expect(try rule(both).matches.map(\.field) == [.routerMAC, .vlanTag])
  }

  @Test("dropping, waking, and the queue of a virtual function")
  func actions() throws {
    func action(_ cookie: UInt64) throws -> FlowRule.Action {
      try rule(EthtoolStructures.specification(type: 18, cookie: cookie, fields: [])).action
    }
    #expect(try action(.max) == .drop)
    #expect(try action(.max - 1) == .wakeUp)
    #expect(try action(0x3_0000_0004) == .queue(4, virtualFunction: 3))
  }

  @Test("a kind of packet that is not known here has no matches, but a place and an action")
  func unknown() throws {
    let bytes = EthtoolStructures.specification(
      type: 0x55, cookie: 3, location: 9, fields: [(0, [1], [0xff])])
    let rule = try rule(bytes)
    #expect(rule.flow == nil && rule.matches.isEmpty)
    #expect(rule.location == 9 && rule.action == .queue(3, virtualFunction: 0))
  }

  @Test(
    "every field of every kind is where the kernel's union has it",
    arguments: FlowRule.Flow.allCases)
  func slots(flow: FlowRule.Flow) throws {
    var end = 0
    for slot in flow.slots {
      #expect(slot.offset >= end, "\(slot.field) overlaps the field before it")
      end = slot.offset + slot.size
      let mask = [UInt8](repeating: 0xff, count: slot.size)
      let bytes = EthtoolStructures.specification(
        type: flow.rawValue, cookie: 0, fields: [(slot.offset, mask, mask)])
      #expect(try rule(bytes).matches.map(\.field) == [slot.field])
    }
    // hdata[52] of union ethtool_flow_union.
    #expect(end <= 52)
  }

  @Test(
    "bytes that are too few are no rule, others always are one", arguments: 0..<8 as Range<UInt64>)
  func random(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<300 {
      let count = Int.random(in: 0...200, using: &generator)
      let bytes = generator.bytes(count)
      let rule = FlowRule(specification: bytes[...], context: 0)
      #expect((rule != nil) == (count >= 168), "seed \(seed)")
    }
  }
}
