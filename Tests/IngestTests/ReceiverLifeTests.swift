import CIngestKernel
import Glibc
import IngestTestSupport
import RingCore
import Synchronization
import Testing
import ZeroCopy

@testable import Ingest

/// Starting, stopping and finishing a receiver in other orders than the usual one.
@Suite struct ReceiverLifeTests {
  /// Whether nobody holds the port any more.
  private static func isFree(_ port: UInt16) -> Bool {
    var at = loopback(AF_INET, port: port)
    let descriptor = unsafe ik_listen(&at, 1, 0, 0, nil)
    guard descriptor >= 0 else { return false }
    close(descriptor)
    return true
  }

  /// With two threads one socket has no engine yet when the first stage refuses to be made.
  @Test(arguments: [1, 2])
  func aFailedStartLetsGoOfThePort(threads: Int) throws {
    var configuration = ReceiverTests.configuration()
    configuration.threads = threads
    var at = loopback(AF_INET)
    let holder = unsafe ik_listen(&at, 1, 0, 0, nil)
    try #require(holder >= 0)
    _ = unsafe ik_endpoint_of(holder, 0, &at)
    close(holder)
    configuration.port = at.port
    let receiver = try Receiver(configuration) {
      context throws(IngestError) -> NewlineCounter in
      throw IngestError(.failed, "no stage for thread \(context.thread)")
    }
    #expect(throws: IngestError.self) { try receiver.start() }
    #expect(Self.isFree(at.port))
    #expect(receiver.isFinished)
  }

  /// An engine that cannot be set up has not taken its listening socket over.
  @Test func aRefusedEngineLetsGoOfThePort() throws {
    var at = loopback(AF_INET)
    let listener = unsafe ik_listen(&at, 1, 0, 0, nil)
    try #require(listener >= 0)
    _ = unsafe ik_endpoint_of(listener, 0, &at)
    let configuration = ReceiverTests.configuration()
    let thread = QueueThread(
      index: 0, cpu: 4000, configuration: configuration, listeners: [listener],
      control: EngineControl(), body: QueueThread.Body { _ in },
      plan: try EnginePlan(configuration), shares: QueueShares(), exchange: nil, gate: nil)
    #expect(thread.start()?.what.contains("CPU 4000") == true)
    thread.join()
    #expect(Self.isFree(at.port))
  }

  @Test func aSecondStartIsRefusedAndTheFirstGoesOn() throws {
    let receiver = try Receiver(ReceiverTests.configuration()) { _ in
      NewlineCounter(total: SharedCount())
    }
    try receiver.start()
    let port = receiver.endpoints[0].raw.port
    let error = #expect(throws: IngestError.self) { try receiver.start() }
    #expect(error?.kind == .usage)
    #expect(receiver.endpoints[0].raw.port == port)
    #expect(!receiver.isFinished)
    receiver.stop()
    #expect(receiver.finish().failure == nil)
  }

  /// What was not started cannot be stopped: the first stop that counts still drains.
  @Test func aStopBeforeTheStartIsNone() throws {
    let receiver = try Receiver(ReceiverTests.configuration()) { _ in
      NewlineCounter(total: SharedCount())
    }
    receiver.stop()
    #expect(receiver.finish().elapsedSeconds == 0)
    try receiver.start()
    let client = LoopbackClient(to: loopback(AF_INET, port: receiver.endpoints[0].raw.port))
    #expect(client.send([UInt8](repeating: 1, count: 50_000)))
    receiver.stop()
    #expect(receiver.finish(within: .infinity).counters.bytes == 50_000)
  }
}
