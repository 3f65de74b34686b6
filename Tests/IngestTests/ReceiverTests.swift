import CIngestKernel
import Glibc
import Ingest
import IngestTestSupport
import RingCore
import Synchronization
import Testing

/// A stage as a user writes one: counts newlines where the kernel put the bytes.
struct NewlineCounter: Stage {
  let total: SharedCount
  var lines: UInt64 = 0

  mutating func take(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    var found: UInt64 = 0
    batch.area.withBytes(of: lease) { bytes in
      for index in 0..<bytes.byteCount
      where unsafe bytes.unsafeLoad(fromByteOffset: index, as: UInt8.self) == 10 { found += 1 }
    }
    lines += found
    return lease.done()
  }

  mutating func closed(_ connection: Connection, _ end: StreamEnd, in batch: inout Batch) {
    total.value.add(lines, ordering: .relaxed)
    lines = 0
  }
}

final class SharedCount: Sendable {
  let value = Atomic<UInt64>(0)
}

#if DEBUG
  /// A stage that forgets one of the leases it keeps.
  @safe
  private struct Forgetful: Stage, ~Copyable {
    /// Left behind: a lease that is dropped counts for the whole process.
    private let pool: UnsafeMutablePointer<LeasePool>

    init() {
      unsafe pool = .allocate(capacity: 1)
      unsafe pool.initialize(to: LeasePool(capacity: 1))
    }

    mutating func take(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
      unsafe pool.pointee.isFull ? lease.done() : pool.pointee.keep(lease)
    }
  }
#endif

@Suite struct ReceiverTests {
  static func configuration() -> ReceiveConfiguration {
    var configuration = ReceiveConfiguration()
    configuration.listen = "127.0.0.1"
    configuration.port = 0
    configuration.area = 1 << 20
    configuration.maxConnections = 64
    configuration.time = 300
    return configuration
  }

  @Test(arguments: [1, 2])
  func aStageOfOnesOwnSeesEveryByte(threads: Int) throws {
    var configuration = Self.configuration()
    configuration.threads = threads
    configuration.connections = 8
    let count = SharedCount()
    let receiver = try Receiver(configuration) { _ in NewlineCounter(total: count) }
    try receiver.start()
    let port = receiver.endpoints[0].raw.port
    let line = Array("a line of text\n".utf8)
    let text = Array(repeating: line, count: 2000).flatMap { $0 }
    let clients = (0..<8).map { _ in
      TestThread {
        let client = LoopbackClient(to: loopback(AF_INET, port: port))
        #expect(client.send(text))
      }
    }
    for client in clients { client.join() }
    let report = receiver.finish()
    #expect(report.failure == nil)
    #expect(count.value.load(ordering: .relaxed) == 16_000)
    #expect(report.counters.bytes == UInt64(8 * text.count))
    #expect(report.counters.accepted == 8)
    #expect(report.counters.copiedBytes == report.counters.bytes)
    #expect(droppedLeases == 0)
    var opened = 0
    var closed: [UInt64] = []
    receiver.drainEvents { event in
      switch event {
      case .opened: opened += 1
      case .closed(_, let end, let bytes, _, _):
        #expect(end == .finished)
        closed.append(bytes)
      case .fault, .synced, .turnedAway: Issue.record("nothing was wrong, nothing was fsynced")
      }
    }
    #expect(opened == 8)
    #expect(closed == Array(repeating: UInt64(text.count), count: 8))
  }

  @Test func aPortInUseSaysWhoToAsk() throws {
    var configuration = Self.configuration()
    let count = SharedCount()
    let holder = try Receiver(configuration) { _ in NewlineCounter(total: count) }
    try holder.start()
    configuration.port = holder.endpoints[0].raw.port
    for threads in [1, 2] {
      configuration.threads = threads
      let second = try Receiver(configuration) { _ in NewlineCounter(total: count) }
      let error = #expect(throws: IngestError.self) { try second.start() }
      #expect(error?.kind == .failed)
      #expect(error?.what.contains("port \(configuration.port) is in use") == true)
      #expect(error?.remedy?.contains("ss -ltnp") == true)
    }
    holder.stop()
    #expect(holder.finish().failure == nil)
  }

  @Test func aCPUThatIsNotOursIsRefused() throws {
    var configuration = Self.configuration()
    configuration.cpus = [4000]
    let receiver = try Receiver(configuration) { _ in NewlineCounter(total: SharedCount()) }
    let error = #expect(throws: IngestError.self) { try receiver.start() }
    #expect(error?.what.contains("CPU 4000") == true)
  }

  @Test(arguments: [(4095, 1 << 20), (4096, 4095), (6000, 1 << 20), (65536, 8 << 30)])
  func anAreaThatIsNoneIsRefused(buffer: Int, area: Int) throws {
    var configuration = Self.configuration()
    configuration.buffer = buffer
    configuration.area = area
    let error = #expect(throws: IngestError.self) {
      _ = try Receiver(configuration) { _ in NewlineCounter(total: SharedCount()) }
    }
    #expect(error?.kind == .usage)
  }

  @Test func severalThreadsDoNotShareStandardOutput() throws {
    var configuration = Self.configuration()
    configuration.threads = 2
    configuration.parse = "lines"
    configuration.sink = "stdout"
    let error = #expect(throws: IngestError.self) { _ = try Receiver(configuration) }
    #expect(error?.kind == .usage)
    #expect(error?.remedy?.contains("--threads 1") == true)
  }

  @Test(arguments: [0, 4097, Int.max])
  func aBatchBeyondTheCompletionQueueIsRefused(waitBatch: Int) throws {
    var configuration = Self.configuration()
    configuration.waitBatch = waitBatch
    let error = #expect(throws: IngestError.self) {
      _ = try Receiver(configuration) { _ in NewlineCounter(total: SharedCount()) }
    }
    #expect(error?.kind == .usage)
  }

  @Test(arguments: [(AddressFamily.any, true), (.ipv6, false)])
  func theWildcardTakesWhatItsFamilySays(family: AddressFamily, takesIPv4: Bool) throws {
    var configuration = Self.configuration()
    configuration.listen = nil
    configuration.family = family
    let receiver = try Receiver(configuration) { _ in NewlineCounter(total: SharedCount()) }
    try receiver.start()
    let port = receiver.endpoints[0].raw.port
    for (version, expected) in [(AF_INET, takesIPv4), (AF_INET6, true)] {
      var to = loopback(version, port: port)
      let descriptor = unsafe ik_connect(&to, Int32(SOCK_STREAM.rawValue), 5000, nil, 0)
      #expect((descriptor >= 0) == expected, "family \(version)")
      if descriptor >= 0 { close(descriptor) }
    }
    receiver.stop()
    #expect(receiver.finish().failure == nil)
  }

  @Test func theLowMarkCountsWhatTheKernelHadLeft() throws {
    var configuration = Self.configuration()
    configuration.connections = 1
    configuration.receive = .plain
    configuration.buffer = 4096
    configuration.area = 16 * 4096
    let receiver = try Receiver(configuration) { _ in NewlineCounter(total: SharedCount()) }
    #expect(receiver.snapshot().freeBuffersLow == nil)
    try receiver.start()
    #expect(receiver.snapshot().freeBuffersLow == 16)
    do {
      let client = LoopbackClient(to: loopback(AF_INET, port: receiver.endpoints[0].raw.port))
      #expect(client.send([UInt8](repeating: 1, count: 100_000)))
    }
    let report = receiver.finish()
    #expect(try #require(report.counters.freeBuffersLow) < 16)
  }

  @Test func aByteLimitEndsTheRun() throws {
    var configuration = Self.configuration()
    configuration.bytes = 100_000
    let receiver = try Receiver(configuration) { _ in NewlineCounter(total: SharedCount()) }
    try receiver.start()
    let client = LoopbackClient(to: loopback(AF_INET, port: receiver.endpoints[0].raw.port))
    while client.send([UInt8](repeating: 1, count: 10_000)) {
      if receiver.isFinished { break }
    }
    let report = receiver.finish()
    #expect(report.failure == nil)
    #expect(report.counters.bytes >= 100_000)
  }

  @Test("a limit of copies that an engine can never keep is refused at once")
  func copyLimit() throws {
    var configuration = ReceiveConfiguration()
    configuration.port = 0
    configuration.engine = .copy
    configuration.maxCopied = try #require(CopyLimit(rawValue: "1%"))
    let error = #expect(throws: IngestError.self) { _ = try Receiver(configuration) }
    #expect(error?.kind == .notSupported)
    #expect(error?.description.contains("copies every byte") == true)
    configuration.maxCopied = .none
    _ = try Receiver(configuration)
  }

  #if DEBUG
    @Test("a lease that nobody gives back fails a checked run, by name")
    func aForgottenLease() throws {
      var configuration = Self.configuration()
      configuration.connections = 1
      configuration.engine = .copy
      let receiver = try Receiver(configuration) { _ in Forgetful() }
      try receiver.start()
      do {
        let client = LoopbackClient(to: loopback(AF_INET, port: receiver.endpoints[0].raw.port))
        #expect(client.send([UInt8](repeating: 1, count: 4000)))
      }
      let failure = try #require(receiver.finish().failure)
      #expect(failure.kind == .failed)
      #expect(failure.what.contains("1 leases were never returned"))
      #expect(failure.what.contains("offset 0, 4000 bytes, connection 0"))
    }
  #endif
}
