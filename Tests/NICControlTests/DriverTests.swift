import Glibc
import Testing

@testable import NICControl

@Suite("drivers")
struct DriverTests {
  @Test("driver information, as the structure has it")
  func readInformation() {
    var bytes = EthtoolStructures.information
    let info = DriverInfo(structure: bytes)
    #expect(info.driver == "bnxt_en")
    #expect(info.version == "7.2.0")
    #expect(info.firmware == "229.0")
    #expect(info.bus == "0000:3b:00.0")
    // A field that fills its 32 bytes has no zero at its end.
    bytes.replaceSubrange(4..<36, with: [UInt8](repeating: 0x61, count: 32))
    #expect(DriverInfo(structure: bytes).driver == String(repeating: "a", count: 32))
    #expect(DriverInfo(structure: []).driver.isEmpty)
  }

  @Test("statistics are joined only when both answers are about as many counters")
  func joined() {
    let (names, values) = (EthtoolStructures.names, EthtoolStructures.values)
    let joined = DriverStatistic.joined(names: names(2), values: values(2), count: 2)
    #expect(
      joined == [
        DriverStatistic(name: "a", value: 1), DriverStatistic(name: "rx_drops", value: .max),
      ])
    #expect(DriverStatistic.joined(names: names(2), values: values(0), count: 2) == nil)
    #expect(DriverStatistic.joined(names: names(3), values: values(2), count: 2) == nil)
    // A count that the bytes do not hold.
    #expect(DriverStatistic.joined(names: names(9), values: values(9), count: 9) == nil)
    #expect(DriverStatistic.joined(names: [], values: [], count: 0) == nil)
  }

  @Test(
    "driver and counters of a veth, as ethtool shows them",
    .enabled(if: TestNamespace.isAvailable, "a network namespace needs root"))
  func sameAsEthtool() throws {
    try TestNamespace.run {
      try TestNamespace.shell(
        "ip link add v0 numrxqueues 4 numtxqueues 4 type veth peer name v1")
      let access = try NICAccess()
      let link = try access.link(named: "v0")
      let driver = try access.driver(of: link)
      #expect(driver.driver == "veth")
      let text = try TestNamespace.shell("ethtool -i v0; ethtool -S v0")
      #expect(text.contains("version: \(driver.version)\n"))
      let statistics = try access.driverStatistics(of: link)
      #expect(statistics.count > 4)
      let shown = text.split(separator: "\n").filter { $0.hasPrefix("     ") }.map {
        $0.drop { $0 == " " }
      }
      #expect(shown.map(String.init) == statistics.map { "\($0.name): \($0.value)" })
      let rules = #expect(throws: NetlinkError.self) { try access.flowRules(of: link) }
      #expect(rules?.isNotSupported == true)
    }
  }

  @Test("lo has neither")
  func loopback() throws {
    let access = try NICAccess()
    let loopback = try access.link(named: "lo")
    let errors = [
      #expect(throws: NetlinkError.self) { try access.driver(of: loopback) },
      #expect(throws: NetlinkError.self) { try access.driverStatistics(of: loopback) },
      #expect(throws: NetlinkError.self) { try access.flowRules(of: loopback) },
    ]
    #expect(errors.allSatisfy { $0?.errno == EOPNOTSUPP })
    let error = #expect(throws: NetlinkError.self) { try access.driver(of: LinkTests.gone()) }
    #expect(error?.errno == ENODEV)
  }
}
