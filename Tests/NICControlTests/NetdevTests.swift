import Glibc
import Testing

@testable import NICControl

@Suite("netdev netlink replies")
struct NetdevTests {
  private func queue(_ bytes: [UInt8]) throws -> Queue { try Queue(Attributes(bytes[...])) }

  @Test("a queue by who has it")
  func queues() throws {
    let free = try queue(NetdevMessages.queue(0))
    #expect(free.direction == .receive && free.number == 0 && free.napi == nil)
    #expect(free.ioUring == nil && free.dmabuf == nil && !free.hasXDPSocket && free.lease == nil)
    let bound = try queue(NetdevMessages.ioUringQueue)
    #expect(bound.number == 3 && bound.napi == 8200)
    #expect(bound.ioUring == Queue.IOUring(bufferLength: 32_768))
    let wide = try queue(NetdevMessages.wideIOUringQueue)
    #expect(wide.ioUring?.bufferLength == 1 << 33)
    // Before Linux 7.2 the nest is empty, and there all the same.
    let old = try queue(NetdevMessages.queue(3) { $0.nest(6) { _ in } })
    #expect(old.ioUring == Queue.IOUring(bufferLength: nil))
    let devmem = try queue(NetdevMessages.queue(3) { $0.add(5, UInt32(4)) })
    #expect(devmem.dmabuf == 4)
    let socket = try queue(NetdevMessages.queue(3, direction: 1) { $0.nest(7) { _ in } })
    #expect(socket.hasXDPSocket && socket.direction == .transmit)
  }

  @Test("a leased queue names the interface it is leased to")
  func leases() throws {
    let leased = try queue(NetdevMessages.leasedQueue)
    #expect(leased.lease == Queue.Lease(interface: 12, queue: 1, namespace: -1))
    let near = try queue(
      NetdevMessages.queue(2) { $0.nest(8) { $0.add(1, UInt32(4)) } })
    #expect(near.lease == Queue.Lease(interface: 4, queue: 0, namespace: nil))
  }

  @Test("a queue of a third direction is refused")
  func direction() {
    #expect(throws: MalformedMessage.self) { try queue(NetdevMessages.queue(0, direction: 2)) }
  }

  @Test("NAPI instances")
  func napi() throws {
    let napi = try NAPI(Attributes(NetdevMessages.napi[...]))
    #expect(napi.identifier == 8200 && napi.interrupt == 31 && napi.thread == 4711)
    #expect(napi.deferHardIRQs == 2 && napi.groFlushTimeout == 20_000)
    #expect(napi.irqSuspendTimeout == 20_000_000_000)
    #expect(napi.threaded == .enabled)
  }

  @Test("page pools and their statistics")
  func pagePools() throws {
    let pool = try PagePool(Attributes(NetdevMessages.pagePool[...]))
    #expect(pool.identifier == 16 && pool.interface == 7 && pool.napi == 8200)
    #expect(pool.inFlight == 512 && pool.inFlightMemory == 512 << 12)
    #expect(pool.detachTime == 99 && pool.isIOUring && pool.dmabuf == nil)
    let reply = try PagePoolStatisticsReply(Attributes(NetdevMessages.pagePoolStatistics[...]))
    #expect(reply.identifier == 16)
    #expect(reply.statistics.allocatedFast == 800 && reply.statistics.allocatedEmpty == 1100)
    #expect(reply.statistics.refilled == 1200 && reply.statistics.ringFull == 1700)
    #expect(reply.statistics.recycledCached == 1400 && reply.statistics.recycledRing == 1600)
  }

  @Test("queue statistics have what the driver counts")
  func statistics() throws {
    let statistics = try QueueStatistics(Attributes(NetdevMessages.queueStatistics[...]))
    #expect(statistics.number == 3 && statistics.direction == .receive)
    #expect(statistics.counters[.receivedPackets] == 1000)
    #expect(statistics.counters[.receivedBytes] == 1 << 40)
    #expect(statistics.counters[.receiveAllocationFailures] == 5)
    #expect(statistics.counters.count == 4)
    #expect(Set(QueueCounter.allCases.map(\.name)).count == QueueCounter.allCases.count)
  }
}

/// Where the running kernel shows queues (Linux 6.8).
private let showsQueues: Bool = {
  guard let access = try? NICAccess(), let lo = try? access.link(named: "lo") else { return false }
  return (try? access.queues(of: lo)) != nil
}()

@Suite("netdev, live", .enabled(if: showsQueues, "queues are shown by netlink: needs Linux 6.8"))
struct NetdevLiveTests {
  @Test(
    "the queues of a veth are seen while it is up, each with its NAPI instance",
    .enabled(if: TestNamespace.isAvailable, "a network namespace needs root"))
  func queues() throws {
    try TestNamespace.run {
      try TestNamespace.shell(
        "ip link add v0 numrxqueues 3 numtxqueues 2 type veth peer name v1")
      let access = try NICAccess()
      let link = try access.link(named: "v0")
      #expect(try access.queues(of: link).isEmpty)
      let down = #expect(throws: NetlinkError.self) {
        try access.receiveQueue(0, interface: link.index)
      }
      #expect(down?.errno == ENOENT && down?.message?.contains("down") == true)
      // Generic receive offload makes veth poll its queues.
      try TestNamespace.shell("ethtool -K v0 gro on && ip link set v0 up && ip link set v1 up")
      let queues = try access.queues(of: link)
      #expect(queues.filter { $0.direction == .receive }.map(\.number) == [0, 1, 2])
      #expect(queues.filter { $0.direction == .transmit }.map(\.number) == [0, 1])
      let one = try access.receiveQueue(1, interface: link.index)
      #expect(one == queues.first { $0.direction == .receive && $0.number == 1 })
      let napis = try access.napis(of: link).map(\.identifier)
      #expect(!napis.isEmpty)
      for queue in queues { #expect(queue.napi.map { napis.contains($0) } ?? true) }
      let beyond = #expect(throws: NetlinkError.self) {
        try access.receiveQueue(3, interface: link.index)
      }
      #expect(beyond?.errno == EINVAL)
      #expect(beyond?.message == "the interface has no such queue")
    }
  }

  @Test("an interface that is not there is ENODEV")
  func missing() throws {
    let access = try NICAccess()
    let error = #expect(throws: NetlinkError.self) {
      try access.receiveQueue(0, interface: 0x7fff_fff0)
    }
    #expect(error?.errno == ENODEV)
  }

  @Test("lo has queues, no page pools, no statistics and no XDP of its own")
  func loopback() throws {
    let access = try NICAccess()
    let loopback = try access.link(named: "lo")
    #expect(try access.queues(of: loopback).count >= 2)
    #expect(try access.napis(of: loopback).isEmpty)
    #expect(try access.pagePools(of: loopback).isEmpty)
    #expect(try access.xdpFeatures(of: loopback).actions == 0)
    let error = #expect(throws: NetlinkError.self) { try access.queueStatistics(of: loopback) }
    #expect(error?.isNotSupported == true)
  }
}
