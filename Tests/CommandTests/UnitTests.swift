import CommandSupport
import Ingest
import JSON5
import RingCore
import Testing

@Suite struct UnitTests {
  @Test(
    arguments: [
      ("0", 0), ("4096", 4096), ("64K", 65536), ("64k", 65536), ("64KiB", 65536),
      ("1.5M", 1_572_864),
      ("8G", 8 << 30), ("18446744073709551615", UInt64.max),
    ])
  func sizesAreBinary(text: String, bytes: UInt64) { #expect(Units.bytes(text) == bytes) }

  @Test(arguments: ["", "K", "-1", "1X", "1KK", "1e", "1e400", "99999999999G", "0x10", " 1"])
  func strangeSizesAreRefused(text: String) { #expect(Units.bytes(text) == nil) }

  @Test func ratesAreDecimal() {
    #expect(Units.bitrate("10G") == 10_000_000_000)
    #expect(Units.bitrate("1.5Mbit") == 1_500_000)
    #expect(Units.bitrate("fast") == nil)
  }

  @Test(
    arguments: [
      ("5", 5.0), ("5s", 5), ("2m", 120), ("1h", 3600), ("250ms", 0.25), ("200us", 200e-6),
    ])
  func durations(text: String, seconds: Double) { #expect(Units.seconds(text) == seconds) }

  @Test func quantitiesReadAsIperf3PrintsThem() {
    #expect(Units.transfer(1_181_116_006) == "1.10 GBytes")
    #expect(Units.transfer(0) == "0.00 Bytes")
    #expect(Units.rate(9_412_000_000) == "9.41 Gbits/sec")
    #expect(Units.rate(94_120_000) == "94.1 Mbits/sec")
    #expect(Units.rate(941_200_000) == " 941 Mbits/sec")
    #expect(Units.rate(8 * 1_048_576, .megabytes) == "1.00 MBytes/sec")
    #expect(Units.rate(9_412_000_000, .megabits) == "9412 Mbits/sec")
    #expect(Units.fixed(0.05, 2) == "0.05")
    #expect(Units.fixed(-1.005, 1) == "-1.0")
    #expect(Units.fixed(.nan, 1) == "-")
    #expect(Units.coarse(125) == "2 min 05 s")
  }

  /// Every kind of fault becomes a sentence with its place, and has an exit code.
  @Test(arguments: Fault.Kind.allCases)
  func faultsAreSentences(kind: Fault.Kind) {
    // Of a stage this is its number, which no other test's may have.
    let expected: UInt64 = kind == .stage ? 1 << 40 : 5
    var fault = Fault(kind, record: 17, offset: 4711, expected: expected, found: 6)
    fault.connection = 3
    let report = FaultReport(fault, peer: "192.0.2.1:5")
    #expect(report.text.hasPrefix("connection 3 (192.0.2.1:5), record 17, byte 4711: "))
    #expect(report.text.count > 70)
    // What was asked for is no failure.
    #expect(
      kind == .dropped
        ? fault.severity == nil
        : [.failed, .peerFailed, .verificationFailed].contains(fault.severity))
  }

  @Test func damageIsToldFromAStranger() {
    let stranger = Fault(.badMagic, record: 0, offset: 0, expected: 1, found: 2)
    let damage = Fault(.badMagic, record: 9, offset: 900, expected: 1, found: 2)
    #expect(stranger.severity == .peerFailed)
    #expect(damage.severity == .verificationFailed)
  }

  @Test func linesOfKeysAreFound() {
    let text = """
      // port: 1
      {
        port: 1, /* area:
        2 */ "receive": { 'area': [1,
           2], text: "a\\"}b" },
        last: 0x10,
      }
      """
    let keys = KeyLines(text)
    #expect(keys.lines["port"] == 3)
    #expect(keys.lines["receive"] == 4)
    #expect(keys.lines["receive.area"] == 4)
    #expect(keys.lines["receive.area[1]"] == 5)
    #expect(keys.lines["receive.text"] == 5)
    #expect(keys.lines["last"] == 6)
    #expect(keys.repeated.isEmpty)
  }

  /// Whatever the text, the walk ends.
  @Test func anyTextIsWalked() {
    var state: UInt64 = 1
    let letters = Array("{}[]:,\"'/*\\ \na1")
    for _ in 0..<2000 {
      var text = ""
      for _ in 0..<24 {
        state = state &* 6_364_136_223_846_793_005 &+ 1
        text.append(letters[Int(state >> 33) % letters.count])
      }
      _ = KeyLines(text)
    }
  }
}
