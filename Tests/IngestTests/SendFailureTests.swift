import CIngestKernel
import Glibc
import Testing
import Wire

@testable import Ingest

/// What users meet when something is wrong at the sending end, and what must not suffer from it.
@Suite struct SendFailures {
  @Test(arguments: SendMethod.allCases, [1, 8])
  func aResetEndsOneStreamOnly(method: SendMethod, batch: Int) throws {
    let peer = SendPeer(connections: 3) { $0 == 1 ? .reset(after: 100_000) : .keep }
    var configuration = SendDelivery.configuration(peer, method)
    configuration.streams = 3
    configuration.batch = batch
    configuration.length = 8000
    configuration.time = 0.3
    let report = try SendDelivery.run(configuration)
    let streams = peer.streams()
    #expect(report.failure?.kind == .peerFailed)
    #expect(report.streams.filter { $0.failure != nil }.count == 1)
    #expect(report.streams.contains { $0.failure?.contains("closed the connection") == true })
    for (index, stream) in streams.enumerated() where index != 1 {
      #expect(try SendDelivery.records(stream).count > 50)
    }
  }

  @Test func refusedConnectionsSayWhatToDo() throws {
    let peer = SendPeer(connections: 0)
    _ = peer.streams()  // closes the listener
    let sender = try Sender(SendDelivery.configuration(peer, .send))
    let error = #expect(throws: IngestError.self) { try sender.start() }
    #expect(error?.kind == .peerFailed)
    #expect(error?.what == "connection refused by 127.0.0.1:\(peer.port)")
    #expect(error?.remedy?.contains("start `ingest --port \(peer.port)`") == true)
  }

  @Test func unknownHostsAreNamed() {
    var configuration = SendConfiguration()
    configuration.host = "no-such-host.invalid"
    let error = #expect(throws: IngestError.self) { try Sender(configuration) }
    #expect(error?.what.contains("unknown host no-such-host.invalid") == true)
  }

  @Test func unknownCongestionControlIsNamed() throws {
    let peer = SendPeer(connections: 0)
    var configuration = SendDelivery.configuration(peer, .send)
    configuration.congestion = "nonesuch"
    let sender = try Sender(configuration)
    let error = #expect(throws: IngestError.self) { try sender.start() }
    #expect(error?.what == "unknown congestion control: nonesuch")
    _ = peer.streams()
  }

  static let impossible: [(String, @Sendable (inout SendConfiguration) -> Void)] = [
    ("-l", { $0.length = 31 }),
    ("datagram", { wanted in (wanted.transport, wanted.length) = (.udp, 65508) }),
    ("threads", { $0.threads = 2 }),
    ("file", { wanted in (wanted.file, wanted.streams) = ("/dev/null", 2) }),
    ("no such file", { $0.file = "/nonexistent/file" }),
    ("in order", { wanted in (wanted.recordMinimum, wanted.recordMaximum) = (9, 4) }),
    ("vectored", { wanted in (wanted.vectored, wanted.method) = (true, .msgZerocopy) }),
  ]

  @Test(arguments: impossible.indices)
  func impossibleWishesAreUsageErrors(index: Int) {
    let (word, change) = Self.impossible[index]
    var configuration = SendConfiguration()
    change(&configuration)
    let error = #expect(throws: IngestError.self) { try Sender(configuration) }
    #expect(error?.kind == .usage)
    #expect(error?.description.contains(word) == true)
  }

  @Test(arguments: SendMethod.allCases)
  func stopFinishesTheRecord(method: SendMethod) throws {
    let peer = SendPeer()
    var configuration = SendDelivery.configuration(peer, method)
    configuration.recordMinimum = 1
    configuration.recordMaximum = 200_000
    configuration.time = 20
    let sender = try Sender(configuration)
    try sender.start()
    while sender.snapshot().bytes < 1_000_000 { usleep(1000) }
    sender.stop()
    let report = sender.finish()
    #expect(report.failure == nil)
    #expect(try SendDelivery.records(peer.streams()[0]).count == Int(report.counters.records))
  }

  @Test(arguments: SendMethod.allCases)
  func aSecondStopLeavesAPeerThatDoesNotRead(method: SendMethod) throws {
    let peer = SendPeer { _ in .ignore }
    var configuration = SendDelivery.configuration(peer, method)
    configuration.time = 20
    let sender = try Sender(configuration)
    try sender.start()
    sender.stop()
    sender.stop()
    let report = sender.finish()
    peer.end()
    #expect(report.elapsedSeconds < 10)
    _ = peer.streams()
  }

  @Test(arguments: [SendMethod.send, .msgZerocopy, .sendZCFixed])
  func filesArriveExactly(method: SendMethod) throws {
    var bytes = [UInt8](repeating: 0, count: 3_000_017)
    unsafe bytes.withUnsafeMutableBytes { unsafe Pattern.fill(unsafe: $0, seed: 77) }
    let path = "/tmp/ingest-send-test-\(getpid())-\(method.rawValue)"
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    #expect(unsafe write(descriptor, bytes, bytes.count) == bytes.count)
    close(descriptor)
    defer { unsafe _ = unlink(path) }
    let peer = SendPeer()
    var configuration = SendDelivery.configuration(peer, method)
    configuration.file = path
    let report = try SendDelivery.run(configuration)
    #expect(report.failure == nil)
    #expect(peer.streams()[0] == bytes)
  }

  @Test func aFifoArrivesExactlyAndEnds() throws {
    let path = "/tmp/ingest-send-fifo-\(getpid())"
    #expect(unsafe mkfifo(path, 0o600) == 0)
    defer { unsafe _ = unlink(path) }
    // Opened both ways, so that neither side waits for the other to open.
    let writer = unsafe open(path, O_RDWR)
    let peer = SendPeer()
    var configuration = SendDelivery.configuration(peer, .sendZC)
    configuration.file = path
    let sender = try Sender(configuration)
    try sender.start()
    let bytes = (0..<50_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    for part in 0..<5 {
      let piece = Array(bytes[(part * 10_000)..<(part * 10_000 + 10_000)])
      #expect(unsafe write(writer, piece, piece.count) == piece.count)
      usleep(2000)
    }
    while sender.snapshot().bytes < 50_000 { usleep(1000) }
    close(writer)
    let report = sender.finish()
    #expect(report.failure == nil)
    #expect(peer.streams()[0] == bytes)
  }
}
