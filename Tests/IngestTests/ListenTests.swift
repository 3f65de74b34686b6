import CIngestKernel
import Glibc
import IngestTestSupport
import NICControl
import RingCore
import Testing

@testable import Ingest

/// Where a receiver listens, and what of that a NIC is told.
@Suite struct ListenTests {
  private static func configuration(_ fill: (inout ReceiveConfiguration) -> Void)
    -> ReceiveConfiguration
  {
    var configuration = ReceiveConfiguration()
    configuration.port = 5301
    fill(&configuration)
    return configuration
  }

  private static func flows(_ fill: (inout ReceiveConfiguration) -> Void) throws -> [NICWish.Flow] {
    let configuration = configuration(fill)
    return try ListenPlaces(configuration).flows(configuration.family)
  }

  private static let both = [
    NICWish.Flow(port: 5301, isIPv6: false), NICWish.Flow(port: 5301, isIPv6: true),
  ]

  @Test func everyAddressIsMatchedByThePort() throws {
    #expect(try Self.flows { _ in } == Self.both)
    #expect(try Self.flows { $0.listen = "::" } == Self.both)
    #expect(try Self.flows { $0.family = .ipv4 } == [Self.both[0]])
    #expect(try Self.flows { $0.family = .ipv6 } == [Self.both[1]])
    #expect(try Self.flows { $0.listen = "0.0.0.0" } == [Self.both[0]])
  }

  @Test func oneAddressIsMatchedAsWell() throws {
    #expect(
      try Self.flows { $0.listen = "192.0.2.1" }
        == [NICWish.Flow(port: 5301, isIPv6: false, address: [192, 0, 2, 1])])
    let one = [UInt8](repeating: 0, count: 15) + [1]
    #expect(
      try Self.flows { $0.listen = "::1" }
        == [NICWish.Flow(port: 5301, isIPv6: true, address: one)])
  }

  @Test func anInterfaceIsItsAddresses() throws {
    let four = NICWish.Flow(port: 5301, isIPv6: false, address: [127, 0, 0, 1])
    let found = try Self.flows { $0.ifname = "lo" }
    #expect(found.contains(four))
    #expect(found.allSatisfy { $0.address != nil })
    #expect(
      try Self.flows {
        $0.ifname = "lo"
        $0.family = .ipv4
      }.allSatisfy { !$0.isIPv6 })
    let error = #expect(throws: IngestError.self) { try Self.flows { $0.ifname = "nosuch0" } }
    #expect(error?.what == "no such interface: nosuch0")
  }

  /// The kernel chooses one port, which is the same at all addresses, and each is served.
  @Test(arguments: [1, 2])
  func onePortAtAllAddresses(threads: Int) throws {
    let configuration = Self.configuration {
      ($0.port, $0.ifname, $0.threads) = (0, "lo", threads)
      ($0.connections, $0.area, $0.time) = (2, 1 << 20, 300)
    }
    let receiver = try Receiver(configuration)
    try receiver.start()
    let places = receiver.endpoints
    #expect(Set(places.map(\.raw.port)).count == 1)
    for place in [places[0], places[places.count - 1]] {
      #expect(LoopbackClient(to: place.raw).send([1, 2, 3]))
    }
    let report = receiver.finish()
    #expect(report.failure == nil)
    #expect(report.counters.bytes == 6)
  }
}
