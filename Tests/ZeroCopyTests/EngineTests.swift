import CIngestKernel
import Glibc
import IngestTestSupport
import RingCore
import Synchronization
import Testing
import ZeroCopy

/// What every engine must do, whatever its leases come from.
@Suite struct EngineTests {
  @Test(
    arguments: EngineSetup.Kind.available.filter { !$0.isZeroCopy },
    [(4096, 1), (4096, 2), (8192, 3), (65536, 16)])
  func bytesArriveOnceAndInOrder(
    kind: EngineSetup.Kind, shape: (size: Int, count: Int)
  ) throws {
    var setup = EngineSetup(kind)
    (setup.bufferSize, setup.buffers) = shape
    let result = try Self.threeStreams(setup)
    #expect(result.counters.freeBuffersLow <= UInt64(shape.count))
  }

  /// Sizes from where everything waits on everything: the bytes are all there all the same.
  @Test(
    .enabled(if: EngineSetup.Kind.each.count > 1, "device-less ZCRX needs Linux 7.1 and root"),
    arguments: EngineSetup.Kind.each.filter { $0.isDeviceless },
    [(1, 8, 8), (2, 8, 1), (16, 8, 4096), (64, 4096, 8), (1024, 4096, 4096)])
  func bytesArriveOnceAndInOrderWithoutADevice(
    kind: EngineSetup.Kind, shape: (buffers: Int, completions: UInt32, refill: UInt32)
  ) throws {
    var setup = EngineSetup(kind)
    (setup.buffers, setup.completions, setup.refill) = shape
    let result = try Self.threeStreams(setup)
    #expect(result.counters.source == .deviceless)
    #expect(result.counters.refillFlushes > 0)
  }

  private static func threeStreams(_ setup: EngineSetup) throws -> EngineRun.Result {
    let run = try EngineRun(setup, connections: 3)
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
    return result
  }

  @Test(arguments: EngineSetup.Kind.each, [AF_INET, AF_INET6])
  func bothFamilies(kind: EngineSetup.Kind, family: Int32) throws {
    let run = try EngineRun(EngineSetup(kind), connections: 1, family: family)
    do {
      let client = LoopbackClient(to: run.endpoint)
      #expect(client.send(pattern(0..<100_000)))
    }
    let result = try run.finish()
    #expect(result.stage.bytes == 100_000)
    #expect(result.stage.mismatches == 0)
  }

  @Test(arguments: EngineSetup.Kind.each)
  func aResetEndsOneConnectionOnly(kind: EngineSetup.Kind) throws {
    let run = try EngineRun(EngineSetup(kind), connections: 2)
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

  @Test(arguments: EngineSetup.Kind.each)
  func aRefusedConnectionIsClosedAndItsBytesDiscarded(kind: EngineSetup.Kind) throws {
    let run = try EngineRun(EngineSetup(kind), connections: 1, refuseAt: 10_000)
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
  @Test(arguments: EngineSetup.Kind.each)
  func aStreamThatEndedBeforeTheStopIsFinished(kind: EngineSetup.Kind) throws {
    // One small buffer: most of the stream is still in the socket when the stop comes. A NIC would
    // keep it for itself.
    var setup = EngineSetup(kind)
    if EngineSetup.Kind.queue.map({ kind != .zcrx($0) }) ?? true {
      (setup.bufferSize, setup.buffers) = (4096, 1)
    }
    let run = try EngineRun(setup, connections: 0)
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

  /// The NIC has posted the only buffer, so that nothing can be copied, now or later.
  @Test(
    .enabled(
      if: EngineSetup.Kind.queue != nil,
      "needs the guest: INGEST_TEST_QUEUE names no queue of a NIC"))
  func aStopEndsAStreamThatNeverGetsABuffer() throws {
    var setup = EngineSetup(.zcrx(try #require(EngineSetup.Kind.queue)))
    (setup.bufferSize, setup.buffers) = (4096, 1)
    let run = try EngineRun(setup, connections: 0)
    let client = LoopbackClient(to: run.endpoint)
    #expect(client.send(pattern(0..<50_000)))
    run.control.ask(.stop)
    let result = try run.finish()
    #expect(result.stage.bytes == 0)
    #expect(result.stage.ends == [.stopped])
    #expect(result.counters.pauses > 0)
    #expect(result.home)
  }

  /// What comes between the look at the socket and its shutdown was acknowledged, too.
  @Test(arguments: EngineSetup.Kind.each, 0..<8)
  func aStopAmidTrafficLosesNothingItReceived(kind: EngineSetup.Kind, delay: Int) throws {
    let run = try EngineRun(EngineSetup(kind), connections: 0)
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

  @Test(arguments: EngineSetup.Kind.each)
  func aStopTakesWhatTheSocketHolds(kind: EngineSetup.Kind) throws {
    let run = try EngineRun(EngineSetup(kind), connections: 0)
    let client = LoopbackClient(to: run.endpoint)
    #expect(client.send(pattern(0..<50_000)))
    // send(2) has returned: the bytes are in our socket or in the peer's.
    run.control.ask(.stop)
    let result = try run.finish()
    #expect(result.stage.bytes == 50_000)
    #expect(result.stage.ends == [.stopped])
    #expect(result.home)
  }

  @Test(arguments: EngineSetup.Kind.each)
  func oneConnectionTooManyIsReset(kind: EngineSetup.Kind) throws {
    var setup = EngineSetup(kind)
    setup.options.maxConnections = 1
    let run = try EngineRun(setup, connections: 1)
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
