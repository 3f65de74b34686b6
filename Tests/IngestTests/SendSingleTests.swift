import Glibc
import Testing

@testable import Ingest

/// Requests that stand alone, which go a shorter way than chains and generations: datagrams, and
/// the one at a time of a stream.
@Suite struct SendSingles {
  static let methods: [SendMethod] = [.send, .sendZC, .sendZCFixed]

  static func configuration(_ port: UInt16, _ method: SendMethod) -> SendConfiguration {
    var configuration = SendConfiguration()
    configuration.port = port
    configuration.transport = .udp
    configuration.method = method
    configuration.source = .pattern
    configuration.length = 1000
    return configuration
  }

  /// Slots come round many times, for copies are reported and the pool is small; the last datagram
  /// is shorter than a slot.
  @Test(arguments: methods, [1, 8])
  func everyStreamSendsItsShareToTheByte(method: SendMethod, batch: Int) throws {
    let peer = DatagramPeer()
    var configuration = Self.configuration(peer.port, method)
    configuration.streams = 3
    configuration.batch = batch
    configuration.pool = 16 << 10
    configuration.bytes = 60_100
    let report = try SendDelivery.run(configuration)
    #expect(report.failure == nil)
    let datagrams = peer.datagrams()
    #expect(datagrams.reduce(0) { $0 + $1.count } == 60_100)
    #expect(datagrams.filter { $0.count != 1000 }.map(\.count) == [100])
    #expect(report.counters.bytes == 60_100 && report.counters.sends == 61)
    #expect(report.streams.count == 3 && report.streams.allSatisfy { $0.bytes > 0 })
    #expect(report.streams.reduce(0) { $0 + $1.bytes } == 60_100)
    let zeroCopy = method == .send ? 0 : report.counters.sends
    #expect(report.counters.zeroCopySends == zeroCopy)
    #expect(report.counters.notifications == zeroCopy)
    // Loopback copies whatever is sent with zero-copy.
    #expect(report.counters.copiedBytes == (method == .send ? 0 : 60_100))
  }

  @Test(arguments: methods)
  func theRateIsKept(method: SendMethod) throws {
    let peer = DatagramPeer()
    var configuration = Self.configuration(peer.port, method)
    configuration.bitrate = 8_000_000
    configuration.time = 0.3
    let report = try SendDelivery.run(configuration)
    // 1 MB/s, and one datagram ahead: never more, however fast the machine.
    #expect(Double(report.counters.bytes) <= 1e6 * report.elapsedSeconds + 1000)
    #expect(report.counters.bytes > 0)
    #expect(!peer.datagrams().isEmpty)
  }

  /// The answer that nobody is there comes with a later send.
  @Test(arguments: methods)
  func aPortThatNobodyHasEndsTheStream(method: SendMethod) throws {
    // Closed again when its port is known.
    var configuration = Self.configuration(DatagramPeer().port, method)
    configuration.time = 20
    let report = try SendDelivery.run(configuration)
    #expect(report.failure?.kind == .peerFailed)
    #expect(report.streams[0].failure != nil)
    #expect(report.elapsedSeconds < 10)
  }

  @Test(arguments: methods)
  func countersMoveAndAStopEnds(method: SendMethod) throws {
    let peer = DatagramPeer()
    var configuration = Self.configuration(peer.port, method)
    configuration.bitrate = 800_000
    configuration.time = 20
    let sender = try Sender(configuration)
    try sender.start()
    // Counters are published while it goes on.
    while sender.snapshot().sends < 10 { usleep(1000) }
    sender.stop()
    let report = sender.finish()
    #expect(report.failure == nil && report.elapsedSeconds < 10)
    #expect(peer.datagrams().count == Int(report.counters.sends))
  }

  /// Large sends into a small buffer: many wait, and some are taken in parts.
  @Test(arguments: methods)
  func oneAtATimeOfEachStreamKeepsTheOrder(method: SendMethod) throws {
    let peer = SendPeer(connections: 3)
    var configuration = SendDelivery.configuration(peer, method)
    configuration.streams = 3
    configuration.batch = 1
    configuration.length = 100_000
    configuration.pool = 1 << 20
    configuration.socketBuffer = 16 << 10
    configuration.records = 90
    let report = try SendDelivery.run(configuration)
    let streams = peer.streams()
    #expect(report.failure == nil)
    #expect(try streams.map { try SendDelivery.records($0).count }.reduce(0, +) == 90)
    #expect(report.streams.map(\.bytes).reduce(0, +) == UInt64(streams.map(\.count).reduce(0, +)))
    #expect(report.counters.notifications == report.counters.zeroCopySends)
  }
}
