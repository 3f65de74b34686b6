import CIngestKernel
import Glibc
import IngestTestSupport
import RingCore
import Synchronization
import Testing
import ZeroCopy

/// Checks that each connection's bytes are the pattern, in order, and notes how streams ended.
struct PatternStage: Stage {
  var positions: [UInt64]
  var bytes: UInt64 = 0
  var mismatches = 0
  var ends: [StreamEnd] = []
  /// Refuse a connection at this stream position.
  var refuseAt: UInt64 = .max
  /// Hold every lease until the end of the next batch.
  var holds = false
  var held: [UInt64] = []

  init(connections: Int) { positions = Array(repeating: 0, count: connections) }

  static func byte(at position: UInt64) -> UInt8 {
    UInt8(truncatingIfNeeded: position &* 31 &+ position >> 8)
  }

  mutating func take(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    let slot = Int(lease.connection)
    let start = positions[slot]
    var wrong = 0
    batch.area.withBytes(of: lease) { span in
      for index in 0..<span.byteCount
      where unsafe span.unsafeLoad(fromByteOffset: index, as: UInt8.self)
        != PatternStage.byte(at: start + UInt64(index))
      { wrong += 1 }
    }
    mismatches += wrong
    bytes += UInt64(lease.length)
    positions[slot] += UInt64(lease.length)
    if positions[slot] > refuseAt {
      batch.refuse(Fault(.badMagic, record: 0, offset: start, expected: 0, found: 0))
    }
    return lease.done()
  }

  mutating func opened(_ connection: Connection, in batch: inout Batch) {
    positions[Int(connection.slot)] = 0
  }

  mutating func closed(_ connection: Connection, _ end: StreamEnd, in batch: inout Batch) {
    ends.append(end)
  }
}

/// One engine on a thread of its own, with a stage that checks the pattern.
final class EngineRun: Sendable {
  struct Result: Sendable {
    var stage: PatternStage
    var counters: EngineCounters
    var home: Bool
  }

  let control: EngineControl
  let endpoint: ik_endpoint
  private let thread: TestThread
  private let result: Mutex<Result?>

  init(
    options: CopyEngineOptions, connections: UInt64, family: Int32 = AF_INET,
    refuseAt: UInt64 = .max
  ) throws {
    var limits = EngineControl.Limits()
    limits.connections = connections
    limits.deadline = ik_clock_ns() + 300_000_000_000
    let control = EngineControl(limits: limits)
    var at = loopback(family)
    let listener = unsafe ik_listen(&at, 128, 0, 0, nil)
    try #require(listener >= 0)
    var bound = ik_endpoint()
    _ = unsafe ik_endpoint_of(listener, 0, &bound)
    let box = ResultBox()
    thread = TestThread {
      let shared = SharedCounters(EngineCounters())
      do {
        var engine = try CopyEngine(
          options: options, listener: listener, control: control, shared: shared)
        var stage = PatternStage(connections: options.engine.maxConnections)
        stage.refuseAt = refuseAt
        engine.run(&stage)
        let home = engine.allBuffersHome
        box.value.withLock {
          $0 = Result(stage: stage, counters: shared.snapshot(), home: home)
        }
      } catch {
        Issue.record("engine: \(error)")
      }
    }
    self.control = control
    endpoint = bound
    self.result = Mutex(nil)
    self.box = box
  }

  private let box: ResultBox

  final class ResultBox: Sendable {
    let value = Mutex<Result?>(nil)
  }

  func finish() throws -> Result {
    thread.join()
    return try #require(box.value.withLock { $0 })
  }
}

func pattern(_ range: Range<UInt64>) -> [UInt8] { range.map(PatternStage.byte(at:)) }

@Suite struct CopyEngineTests {
  static func options(
    bufferSize: Int = 65536, buffers: Int = 16, mode: CopyEngineOptions.Mode? = nil
  ) throws -> CopyEngineOptions {
    var options = CopyEngineOptions(
      layout: try #require(AreaLayout(bufferSize: bufferSize, bufferCount: buffers)))
    options.mode = mode
    options.engine.maxConnections = 64
    return options
  }

  @Test(
    arguments: CopyEngineOptions.Mode.allCases, [(4096, 1), (4096, 2), (8192, 3), (65536, 16)])
  func bytesArriveOnceAndInOrder(
    mode: CopyEngineOptions.Mode, shape: (size: Int, count: Int)
  ) throws {
    let options = try Self.options(bufferSize: shape.size, buffers: shape.count, mode: mode)
    let run = try EngineRun(options: options, connections: 3)
    let data = pattern(0..<3_000_000)
    let endpoint = run.endpoint
    let clients = (0..<3).map { _ in
      TestThread {
        let client = LoopbackClient(to: endpoint)
        #expect(client.send(data))
      }
    }
    for client in clients { client.join() }
    let result = try run.finish()
    #expect(result.stage.bytes == 9_000_000)
    #expect(result.counters.bytes == 9_000_000)
    #expect(result.stage.mismatches == 0)
    #expect(result.stage.ends == [.finished, .finished, .finished])
    #expect(result.home)
    #expect(result.counters.freeBuffersLow <= UInt64(shape.count))
  }

  @Test(arguments: [AF_INET, AF_INET6])
  func bothFamilies(family: Int32) throws {
    let run = try EngineRun(options: try Self.options(), connections: 1, family: family)
    do {
      let client = LoopbackClient(to: run.endpoint)
      #expect(client.send(pattern(0..<100_000)))
    }
    let result = try run.finish()
    #expect(result.stage.bytes == 100_000)
    #expect(result.stage.mismatches == 0)
  }

  @Test func aResetEndsOneConnectionOnly() throws {
    let run = try EngineRun(options: try Self.options(), connections: 2)
    do {
      let client = LoopbackClient(to: run.endpoint)
      #expect(client.send(pattern(0..<1000)))
      client.reset()
    }
    do {
      let client = LoopbackClient(to: run.endpoint)
      #expect(client.send(pattern(0..<1_000_000)))
    }
    let result = try run.finish()
    #expect(result.counters.reset == 1)
    #expect(result.stage.ends.contains(.failed(ECONNRESET)))
    #expect(result.stage.ends.contains(.finished))
    #expect(result.stage.mismatches == 0)
    #expect(result.home)
  }

  @Test func aRefusedConnectionIsClosedAndItsBytesDiscarded() throws {
    let run = try EngineRun(options: try Self.options(), connections: 1, refuseAt: 10_000)
    do {
      let client = LoopbackClient(to: run.endpoint)
      _ = client.send(pattern(0..<5_000_000))
    }
    let result = try run.finish()
    #expect(result.stage.ends == [.refused])
    #expect(result.counters.refused == 1)
    #expect(result.stage.bytes < 5_000_000)
    #expect(result.stage.bytes + result.counters.discardedBytes == result.counters.bytes)
    #expect(result.home)
  }

  /// A peer that had finished before the stop is told from one that was cut short: its last
  /// record is complete, and its digest is the whole stream's.
  @Test func aStreamThatEndedBeforeTheStopIsFinished() throws {
    // One small buffer: most of the stream is still in the socket when the stop comes.
    let run = try EngineRun(options: try Self.options(bufferSize: 4096, buffers: 1), connections: 0)
    do {
      let client = LoopbackClient(to: run.endpoint)
      #expect(client.send(pattern(0..<50_000)))
      Glibc.shutdown(client.descriptor, Int32(SHUT_WR))
      run.control.ask(.stop)
      let result = try run.finish()
      #expect(result.stage.bytes == 50_000)
      #expect(result.stage.ends == [.finished])
      #expect(result.home)
    }
  }

  /// What comes between the look at the socket and its shutdown was acknowledged, too.
  @Test(arguments: 0..<8)
  func aStopAmidTrafficLosesNothingItReceived(delay: Int) throws {
    let run = try EngineRun(options: try Self.options(), connections: 0)
    let client = LoopbackClient(to: run.endpoint)
    let data = pattern(0..<1_000_000)
    let sender = TestThread { _ = client.send(data) }
    usleep(UInt32(1000 * delay))
    run.control.ask(.stop)
    let result = try run.finish()
    sender.join()
    #expect(result.stage.mismatches == 0)
    #expect(result.counters.discardedBytes == 0)
    #expect(result.stage.bytes == result.counters.bytes)
  }

  @Test func aStopTakesWhatTheSocketHolds() throws {
    let run = try EngineRun(options: try Self.options(), connections: 0)
    let client = LoopbackClient(to: run.endpoint)
    #expect(client.send(pattern(0..<50_000)))
    // send(2) has returned: the bytes are in our socket or in the peer's.
    run.control.ask(.stop)
    let result = try run.finish()
    #expect(result.stage.bytes == 50_000)
    #expect(result.stage.ends == [.stopped])
    #expect(result.home)
  }

  @Test func oneConnectionTooManyIsReset() throws {
    var options = try Self.options()
    options.engine.maxConnections = 1
    let run = try EngineRun(options: options, connections: 1)
    do {
      let first = LoopbackClient(to: run.endpoint)
      #expect(first.send(pattern(0..<10)))
      let second = LoopbackClient(to: run.endpoint)
      var byte: UInt8 = 0
      // The reset ends this read.
      #expect(unsafe Glibc.recv(second.descriptor, &byte, 1, 0) <= 0)
    }
    let result = try run.finish()
    #expect(result.counters.rejected == 1)
    #expect(result.stage.ends == [.finished])
  }
}
