import Glibc
import Testing

@testable import NICControl

@Suite("state of a NIC")
struct NICStateTests {
  @Test("queues by NAPI instance, and how many receive")
  func queues() throws {
    var state = try StateSamples.capable()
    #expect(state.receiveQueuesByNAPI == [8200: [3], 8100: [0, 1], 8102: [2]])
    #expect(state.receiveQueue(3)?.napi == 8200)
    #expect(state.receiveQueue(4) == nil)
    #expect(state.receiveQueueCount == 4)
    state.channels = .notSupported(NetlinkError("read the channels of zc0", errno: EOPNOTSUPP))
    #expect(state.receiveQueueCount == 4)
    state.queues = .value([])
    #expect(state.receiveQueueCount == nil)
    #expect(state.receiveQueuesByNAPI.isEmpty)
  }

  @Test("what is not supported says so, beside what is")
  func loopback() throws {
    let access = try NICAccess()
    let state = try access.state(of: "lo")
    #expect(state.link.isLoopback)
    #expect(state.numaNode == nil)
    #expect(state.features.value != nil && state.features.error == nil)
    guard case .notSupported(let error) = state.rings else {
      Issue.record("lo has rings: \(state.rings)")
      return
    }
    #expect(error.errno == EOPNOTSUPP)
    #expect(state.rings.value == nil && state.rings.error == error)
    let missing = #expect(throws: NetlinkError.self) { try access.state(of: "no-such-link") }
    #expect(missing?.errno == ENODEV)
  }

  @Test("a failure is not mistaken for a missing feature")
  func failures() {
    let refused = Reading<Int> { () throws(NetlinkError) in
      throw NetlinkError("read", errno: EPERM)
    }
    #expect(refused == .failed(NetlinkError("read", errno: EPERM)))
    let internalErrno = Reading<Int> { () throws(NetlinkError) in
      throw NetlinkError("read", errno: 524)
    }
    #expect(internalErrno == .notSupported(NetlinkError("read", errno: 524)))
    #expect(internalErrno.error?.description.contains("Operation not supported") == true)
  }

  @Test(
    "a veth, gathered in its own namespace",
    .enabled(if: TestNamespace.isAvailable, "a network namespace needs root"))
  func veth() throws {
    try TestNamespace.run {
      try TestNamespace.shell("ip link add v0 type veth peer name v1 && ip link set v0 up")
      let state = try NICAccess().state(of: "v0")
      #expect(state.link.kind == "veth" && state.driver.value?.driver == "veth")
      #expect(state.receiveQueueCount == state.channels.value?.current.receiveQueues)
      #expect(state.link.isUp && !state.link.hasCarrier)
    }
  }
}
