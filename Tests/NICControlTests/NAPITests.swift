import Glibc
import Testing

@testable import NICControl

@Suite("NAPI settings")
struct NAPITests {
  @Test("only what is to change is written")
  func writing() throws {
    var writer = AttributeWriter()
    NAPI.Settings(groFlushTimeout: 1 << 33, threaded: .enabled).write(8200, to: &writer)
    let attributes = try Attributes(writer.bytes[...])
    #expect(attributes.list.map(\.number) == [2, 6, 8])
    #expect(attributes.list.map(\.value.count) == [4, 8, 4])
    let napi = try NAPI(attributes)
    #expect(napi.identifier == 8200 && napi.groFlushTimeout == 1 << 33)
    #expect(napi.threaded == .enabled && napi.deferHardIRQs == nil)
  }

  @Test("a way of polling that is not known here is none")
  func unknown() throws {
    var writer = AttributeWriter()
    writer.add(2, UInt32(1))
    writer.add(8, UInt32(9))
    #expect(try NAPI(Attributes(writer.bytes[...])).threaded == nil)
  }

  /// The NAPI instances of a veth that has one for each receive queue.
  private func withInstances(
    _ body: (NICAccess, () throws -> [NAPI]) throws -> Void
  ) throws {
    try TestNamespace.run {
      try TestNamespace.shell("ip link add v0 numrxqueues 2 type veth peer name v1")
      try TestNamespace.shell("ethtool -K v0 gro on && ip link set v0 up && ip link set v1 up")
      let access = try NICAccess()
      let link = try access.link(named: "v0")
      try body(access) { try access.napis(of: link).sorted { $0.identifier < $1.identifier } }
    }
  }

  @Test(
    "what is set is read back, of one instance alone",
    .enabled(if: setsNAPI, "NAPI instances are set by netlink: needs Linux 6.17"),
    .enabled(if: TestNamespace.isAvailable, "a network namespace needs root"))
  func live() throws {
    try withInstances { access, napis in
      let before = try napis()
      #expect(before.count == 2)
      let first = try #require(before.first)
      try access.setNAPI(
        first.identifier,
        NAPI.Settings(
          deferHardIRQs: 3, groFlushTimeout: 50_000, irqSuspendTimeout: 20_000_000_000))
      var expected = before
      expected[0].deferHardIRQs = 3
      expected[0].groFlushTimeout = 50_000
      expected[0].irqSuspendTimeout = 20_000_000_000
      #expect(try napis() == expected)
      #expect(first.threaded != nil)
      let other: NAPI.Threaded = first.threaded == .enabled ? .disabled : .enabled
      try access.setNAPI(first.identifier, NAPI.Settings(threaded: other))
      let after = try #require(try napis().first)
      #expect(after.threaded == other && after.deferHardIRQs == 3)
      #expect((after.thread != nil) == (other == .enabled))
      #expect(try napis().last == expected.last)
    }
  }

  @Test(
    "a refusal has the kernel's words, or else the cause",
    .enabled(if: setsNAPI, "NAPI instances are set by netlink: needs Linux 6.17"),
    .enabled(if: TestNamespace.isAvailable, "a network namespace needs root"))
  func refusals() throws {
    try withInstances { access, napis in
      let before = try napis()
      let first = try #require(before.first).identifier
      let range = #expect(throws: NetlinkError.self) {
        try access.setNAPI(first, NAPI.Settings(deferHardIRQs: .max))
      }
      #expect(range?.errno == ERANGE && range?.message?.contains("out of range") == true)
      #expect(range?.request == "set NAPI instance \(first)")
      let gone = #expect(throws: NetlinkError.self) {
        try access.setNAPI(0x7fff_0000, NAPI.Settings(deferHardIRQs: 1))
      }
      #expect(gone?.errno == ENOENT && gone?.message?.contains("up") == true)
      #expect(try napis() == before)
    }
  }
}

/// Whether instances can be set, and read with who polls them (Linux 6.17).
private let setsNAPI: Bool = {
  guard let access = try? NICAccess() else { return false }
  do throws(NetlinkError) {
    try access.setNAPI(0, NAPI.Settings(threaded: .disabled))
    return true
  } catch {
    // An older kernel knows no such request, or no such setting.
    return error.errno != EOPNOTSUPP && error.errno != EINVAL
  }
}()
