import Testing

@testable import NICControl

@Suite("addresses of interfaces")
struct InterfaceAddressTests {
  /// An RTM_NEWADDR payload of interface 7.
  private static func message(
    _ attributes: [(UInt16, [UInt8])], isIPv6: Bool = false, flags: UInt8 = 0, scope: UInt8 = 0,
    more: UInt32? = nil
  ) -> [UInt8] {
    var bytes: [UInt8] = [isIPv6 ? 10 : 2, 24, flags, scope] + littleEndianBytes(of: UInt32(7))
    for (number, value) in attributes {
      bytes += littleEndianBytes(of: UInt16(value.count + 4))
      bytes += littleEndianBytes(of: number) + value
    }
    if let more {
      bytes += [8, 0, 8, 0] + littleEndianBytes(of: more)
    }
    return bytes
  }

  private static let six: [UInt8] = [0xfd] + [UInt8](repeating: 0, count: 14) + [1]

  private func read(_ bytes: [UInt8]) throws -> InterfaceAddress {
    try #require(try InterfaceAddress(message: bytes, interface: 7))
  }

  @Test func ownIsWhatIsLocal() throws {
    let own = try read(Self.message([(1, [10, 0, 0, 2]), (2, [10, 0, 0, 1])]))
    #expect(own.bytes == [10, 0, 0, 1])
    #expect(try read(Self.message([(1, Self.six)], isIPv6: true)).bytes == Self.six)
    #expect(try InterfaceAddress(message: Self.message([(1, [1, 2, 3, 4])]), interface: 8) == nil)
  }

  @Test(
    arguments: [
      (false, 0, 0, true), (false, 0x01, 0, true), (false, 0x20, 0, false),
      (false, 0, 253, false), (false, 0, 254, false), (true, 0, 0, true), (true, 0x01, 0, false),
      (true, 0x08, 0, false), (true, 0x20, 0, false), (true, 0, 253, false), (true, 0x80, 0, true),
    ] as [(Bool, UInt32, UInt8, Bool)])
  func listensWhereOthersCanFindIt(
    isIPv6: Bool, flags: UInt32, scope: UInt8, wanted: Bool
  ) throws {
    let bytes = isIPv6 ? Self.six : [10, 0, 0, 1]
    let one = try read(Self.message([(1, bytes)], isIPv6: isIPv6, scope: scope, more: flags))
    #expect(one.isListenable(onLoopback: false) == wanted)
    #expect(one.isListenable(onLoopback: true) == (wanted || scope == 254))
  }

  @Test func tentativeIsNotYet() throws {
    let tentative = try read(Self.message([(1, Self.six)], isIPv6: true, more: 0x40))
    #expect(tentative.isTentative && tentative.isListenable(onLoopback: false))
    #expect(!(try read(Self.message([(1, Self.six)], isIPv6: true, more: 0x44)).isTentative))
    // Before Linux 3.14 in eight bits of the header.
    #expect(try read(Self.message([(1, Self.six)], isIPv6: true, flags: 0x40)).isTentative)
  }

  @Test func whatIsMalformedIsTold() throws {
    #expect(throws: MalformedMessage.self) { try read([2, 24, 0]) }
    #expect(throws: MalformedMessage.self) {
      try read(Self.message([]) + [200, 0, 1, 0])
    }
    #expect(try InterfaceAddress(message: Self.message([(1, [1, 2])]), interface: 7) == nil)
  }

  @Test(.enabled(if: TestNamespace.isAvailable, "root makes network namespaces"))
  func theKernelsOwn() throws {
    try TestNamespace.run {
      try TestNamespace.shell(
        "ip link set lo up; ip link add one type veth peer name two; ip link set one up; "
          + "ip address add 192.0.2.1/24 dev one; ip address add 192.0.2.2/24 dev one; "
          + "ip address add 2001:db8::1/64 dev one nodad")
      let access = try NICAccess()
      let found = try access.addresses(of: try access.link(named: "one"))
      let listenable = found.filter { $0.isListenable(onLoopback: false) }
      #expect(listenable.map(\.bytes.count) == [4, 4, 16])
      #expect(listenable.first?.bytes == [192, 0, 2, 1])
      let loopback = try access.link(named: "lo")
      #expect(
        try access.addresses(of: loopback).filter { $0.isListenable(onLoopback: true) }.count == 2)
    }
  }
}
