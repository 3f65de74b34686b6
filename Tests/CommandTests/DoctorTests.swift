import FoundationEssentials
import Testing

@Suite struct DoctorTests {
  private struct Report: Decodable {
    struct Finding: Decodable {
      var verdict: String
      var subject: String
      var fact: String
      var remedy: String?
    }
    var schema: String
    var findings: [Finding]
  }

  private static func report(_ arguments: [String]) throws -> (Report, Int32) {
    let result = try RunningCommand("ingest", ["doctor", "--json"] + arguments).finish()
    let report = try JSONDecoder().decode(Report.self, from: Data(result.out.utf8))
    return (report, result.code)
  }

  @Test func kernelAlone() throws {
    let (report, code) = try DoctorTests.report([])
    let blocks = report.findings.contains { $0.verdict == "blocks" }
    #expect(code == (blocks ? 3 : 0))
    let subjects = report.findings.map(\.subject)
    #expect(subjects.first == "kernel.io_uring_disabled")
    #expect(subjects.contains("CAP_NET_ADMIN") && subjects.contains("locked memory"))
    #expect(!subjects.contains("interface"))
  }

  /// Nothing that has no hardware can be made to work, so nothing more is said of it.
  @Test func loopbackInterface() throws {
    let (report, code) = try DoctorTests.report(["--ifname", "lo", "--queue", "0"])
    #expect(code == 3)
    let hardware = report.findings.first { $0.subject == "hardware" }
    #expect(hardware?.verdict == "blocks")
    #expect(hardware?.fact == "lo is the loopback interface, which has no hardware queues")
    #expect(hardware?.remedy?.contains("`ip -br link`") == true)
    #expect(!report.findings.contains { $0.subject == "tcp-data-split" })
  }

  /// A start says the same of an interface that is not there.
  @Test func noSuchInterface() throws {
    let (report, code) = try DoctorTests.report(["--ifname", "nosuch0", "--queue", "3"])
    let missing = report.findings.last
    #expect(code == 3 && missing?.verdict == "blocks" && missing?.subject == "interface")
    let start = try RunningCommand.run(
      "ingest", "run", "--port", "0", "--ifname", "nosuch0", "--queue", "3")
    let fact = try #require(missing?.fact)
    #expect(start.code == 1 && start.error.contains(fact), "\(start.error)")
  }

  @Test func cpuThatIsNotAllowed() throws {
    let (report, code) = try DoctorTests.report(
      ["--ifname", "lo", "--queue", "0", "--cpus", "8000"])
    #expect(code == 3)
    #expect(report.findings.contains { $0.subject == "CPU" && $0.verdict == "blocks" })
  }
}
