import CIngestKernel
import Glibc
import IngestTestSupport
import RingCore
import Synchronization
import Testing
import ZeroCopy

/// Holds leases for random times and gives them back in random order.
@safe
private struct HoldingStage: Stage, ~Copyable {
  private let held: UnsafeMutablePointer<Held?>
  private var count = 0
  private let limit: Int
  private var generator = SeededGenerator(seed: 7)
  private var isStreaming = false
  var leases: UInt64 = 0

  init(limit: Int) {
    self.limit = limit
    unsafe held = UnsafeMutablePointer<Held?>.allocate(capacity: limit)
    for index in 0..<limit { unsafe (held + index).initialize(to: nil) }
  }

  deinit {
    unsafe held.deinitialize(count: limit)
    unsafe held.deallocate()
  }

  mutating func take(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    leases += 1
    isStreaming = true
    guard count < limit, UInt8.random(in: 0..<4, using: &generator) == 0 else {
      return lease.done()
    }
    count += 1
    return lease.keep(into: &(unsafe held[count - 1]))
  }

  mutating func endBatch(in batch: inout Batch) {
    // All of them once nothing comes any more, else some.
    var some = isStreaming ? Int.random(in: 0...count, using: &generator) : count
    isStreaming = false
    while some > 0 {
      let index = Int.random(in: 0..<count, using: &generator)
      if let one = unsafe held[index].take() { batch.giveBack(one) }
      count -= 1
      if index != count { unsafe held[index] = held[count].take() }
      some -= 1
    }
  }

  var pending: Int { count }
}

/// Every lease goes back exactly once, however long it was held.
@Suite struct HeldLeasesTests {
  private struct Outcome: Sendable {
    var leases: UInt64
    var bytes: UInt64
    var home: Bool
  }

  private final class Box: Sendable {
    let value = Mutex<Outcome?>(nil)
  }

  /// The sender is another process's, in the network namespace at the other end of the wire.
  @Test(
    .enabled(
      if: EngineSetup.Kind.queue != nil,
      "needs the guest: INGEST_TEST_QUEUE names no queue of a NIC"))
  func aMillionLeasesOfAQueueComeBack() throws {
    let port = unsafe getenv("INGEST_TEST_PORT").flatMap { UInt16(unsafe String(cString: $0)) }
    var at = ik_endpoint()
    at.family = UInt16(AF_INET)
    at.port = try #require(port, "INGEST_TEST_PORT is the port to listen on")
    let listener = unsafe ik_listen(&at, 16, 0, 0, nil)
    try #require(listener >= 0)
    var setup = EngineSetup(.zcrx(try #require(EngineSetup.Kind.queue)))
    setup.options.holdLimit = 1024
    let outcome = try Self.run(setup, listener: listener)
    #expect(outcome.leases >= 1_000_000)
    #expect(outcome.home)
  }

  @Test(arguments: EngineSetup.Kind.each)
  func heldLeasesComeBack(kind: EngineSetup.Kind) throws {
    var at = loopback(AF_INET)
    let listener = unsafe ik_listen(&at, 16, 0, 0, nil)
    try #require(listener >= 0)
    _ = unsafe ik_endpoint_of(listener, 0, &at)
    let endpoint = at
    let client = TestThread {
      let client = LoopbackClient(to: endpoint)
      #expect(client.send([UInt8](repeating: 1, count: 4_000_000)))
    }
    var setup = EngineSetup(kind)
    setup.options.holdLimit = 8
    let outcome = try Self.run(setup, listener: listener)
    client.join()
    #expect(outcome.bytes == 4_000_000)
    #expect(outcome.home)
  }

  private static func run(_ setup: EngineSetup, listener: Int32) throws -> Outcome {
    let box = Box()
    let thread = TestThread {
      var limits = EngineControl.Limits()
      limits.connections = 1
      limits.deadline = ik_clock_ns() + 900_000_000_000
      let shared = SharedCounters(EngineCounters())
      do {
        var stage = HoldingStage(limit: setup.options.holdLimit)
        let home = try setup.run(
          &stage, listener: listener, control: EngineControl(limits: limits), shared: shared)
        let outcome = Outcome(
          leases: stage.leases, bytes: shared.snapshot().bytes, home: home)
        box.value.withLock { $0 = outcome }
      } catch {
        Issue.record("engine: \(error)")
      }
    }
    thread.join()
    return try #require(box.value.withLock { $0 })
  }
}
