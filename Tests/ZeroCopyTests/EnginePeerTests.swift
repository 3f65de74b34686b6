import CIngestKernel
import Glibc
import IngestTestSupport
import RingCore
import Testing
import ZeroCopy

/// Who may connect, and how much of it is taken.
@Suite struct EnginePeerTests {
  /// How a connection ends that sends these bytes: 0 as it should, else an errno. A reset may come
  /// before connecting is over.
  private static func end(of endpoint: ik_endpoint, sending bytes: [UInt8] = []) -> Int32 {
    var endpoint = endpoint
    let peer = unsafe ik_connect(&endpoint, Int32(SOCK_STREAM.rawValue), 30_000, "reno", 0)
    guard peer >= 0 else { return -peer }
    defer { close(peer) }
    _ = unsafe Glibc.send(peer, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    Glibc.shutdown(peer, Int32(SHUT_WR))
    var byte: UInt8 = 0
    return unsafe Glibc.recv(peer, &byte, 1, 0) < 0 ? errno : 0
  }

  private static func setup(
    _ kind: EngineSetup.Kind, _ fill: (inout PeerGate.Rules) throws -> Void
  ) throws -> EngineSetup {
    var rules = PeerGate.Rules()
    rules.mostConnections = 64
    try fill(&rules)
    var setup = EngineSetup(kind)
    setup.options.peers = PeerGate(rules)
    return setup
  }

  @Test(arguments: EngineSetup.Kind.each, [AF_INET, AF_INET6])
  func whoIsNotAllowedIsReset(kind: EngineSetup.Kind, family: Int32) throws {
    let other = family == AF_INET ? "10.0.0.0/8" : "127.0.0.0/8"
    let run = try EngineRun(
      try Self.setup(kind) { $0.allowed = [try PeerPrefix(other), try PeerPrefix("fd00::/8")] },
      connections: 0, family: family)
    for _ in 0..<3 { #expect(Self.end(of: run.endpoint) == ECONNRESET) }
    run.control.ask(.stop)
    let result = try run.finish()
    #expect(result.counters.notAllowed == 3)
    #expect(result.counters.accepted == 0)
    #expect(result.counters.bytes == 0)
    // Told once: they all have one address.
    #expect(result.stage.turnedAway == [.notAllowed])
  }

  @Test(arguments: EngineSetup.Kind.each, [AF_INET, AF_INET6])
  func whoIsAllowedIsServed(kind: EngineSetup.Kind, family: Int32) throws {
    let own = family == AF_INET ? "127.0.0.1" : "::1"
    let run = try EngineRun(
      try Self.setup(kind) { $0.allowed = [try PeerPrefix("192.0.2.0/24"), try PeerPrefix(own)] },
      connections: 1, family: family)
    do {
      let client = LoopbackClient(to: run.endpoint)
      #expect(client.send(pattern(0..<100_000)))
    }
    let result = try run.finish()
    #expect(result.stage.bytes == 100_000)
    #expect(result.stage.ends == [.finished])
    #expect(result.counters.notAllowed == 0)
  }

  @Test(arguments: EngineSetup.Kind.each)
  func oneConnectionOfAPeerTooManyIsReset(kind: EngineSetup.Kind) throws {
    let run = try EngineRun(try Self.setup(kind) { $0.connections = 2 }, connections: 3)
    do {
      let (first, second) = (LoopbackClient(to: run.endpoint), LoopbackClient(to: run.endpoint))
      #expect(first.send(pattern(0..<10)) && second.send(pattern(0..<10)))
      #expect(Self.end(of: run.endpoint) == ECONNRESET)
    }
    // Their places are free again, as soon as the engine knows.
    while Self.end(of: run.endpoint, sending: pattern(0..<10)) != 0 {}
    let result = try run.finish()
    #expect(result.counters.accepted == 3)
    #expect(result.counters.peerConnections >= 1)
    #expect(result.stage.turnedAway == [.connections])
    #expect(result.stage.ends == [.finished, .finished, .finished])
  }

  /// An engine accepts on each of its sockets, and closes them all.
  @Test(arguments: EngineSetup.Kind.each)
  func everyListenerIsServed(kind: EngineSetup.Kind) throws {
    var setup = EngineSetup(kind)
    var places: [ik_endpoint] = []
    for family in [AF_INET, AF_INET6, AF_INET] {
      var at = loopback(family)
      let listener = unsafe ik_listen(&at, 128, 0, 0, nil)
      try #require(listener >= 0)
      _ = unsafe ik_endpoint_of(listener, 0, &at)
      places.append(at)
      setup.options.moreListeners.append(listener)
    }
    let run = try EngineRun(setup, connections: 8)
    for place in [run.endpoint] + places {
      for _ in 0..<2 {
        let client = LoopbackClient(to: place)
        #expect(client.send(pattern(0..<1000)))
      }
    }
    let result = try run.finish()
    #expect(result.stage.bytes == 8000)
    #expect(result.stage.ends == Array(repeating: .finished, count: 8))
  }

  /// A connection that was reset before it was accepted does not say whose it was.
  @Test(arguments: EngineSetup.Kind.each)
  func whoIsGoneIsNotServed(kind: EngineSetup.Kind) throws {
    var setup = try Self.setup(kind) { $0.bytes = 1 << 20 }
    var at = loopback(AF_INET)
    let listener = unsafe ik_listen(&at, 128, 0, 0, nil)
    try #require(listener >= 0)
    _ = unsafe ik_endpoint_of(listener, 0, &at)
    do {
      let gone = LoopbackClient(to: at)
      #expect(gone.send(pattern(0..<100)))
      gone.reset()
    }
    // Behind it in the same line.
    let later = LoopbackClient(to: at)
    #expect(later.send(pattern(0..<1000)))
    Glibc.shutdown(later.descriptor, Int32(SHUT_WR))
    setup.options.moreListeners = [listener]
    let result = try EngineRun(setup, connections: 1).finish()
    #expect(result.stage.bytes == 1000)
    #expect(result.counters.accepted == 1)
    #expect(result.stage.ends == [.finished])
  }

  /// Not a byte more and not one less, wherever the limit falls within buffers and completions.
  @Test(
    arguments: EngineSetup.Kind.each,
    [1, 4095, 4096, 4097, 65535, 65536, 65537, 100_000, 999_999, 1_000_000] as [UInt64])
  func bytesUpToTheLimitAreDelivered(kind: EngineSetup.Kind, limit: UInt64) throws {
    var setup = try Self.setup(kind) { $0.bytes = limit }
    if case .copy = kind { (setup.bufferSize, setup.buffers) = (4096, 8) }
    let run = try EngineRun(setup, connections: 1)
    do {
      let client = LoopbackClient(to: run.endpoint)
      // The other end resets what it does not take.
      _ = client.send(pattern(0..<1_000_000))
    }
    let result = try run.finish()
    #expect(result.stage.bytes == limit)
    #expect(result.stage.mismatches == 0)
    #expect(result.stage.ends == [limit < 1_000_000 ? .limited : .finished])
    #expect(result.counters.limited == (limit < 1_000_000 ? 1 : 0))
    #expect(result.counters.bytes == limit + result.counters.discardedBytes)
    #expect(result.home)
  }

  /// Connections of one address share what it may send; then it is turned away.
  @Test(arguments: EngineSetup.Kind.each)
  func connectionsShareTheLimit(kind: EngineSetup.Kind) throws {
    let run = try EngineRun(try Self.setup(kind) { $0.bytes = 150_000 }, connections: 0)
    do {
      let first = LoopbackClient(to: run.endpoint)
      #expect(first.send(pattern(0..<100_000)))
      Glibc.shutdown(first.descriptor, Int32(SHUT_WR))
      // Closed there once all of it was taken.
      var byte: UInt8 = 0
      #expect(unsafe Glibc.recv(first.descriptor, &byte, 1, 0) == 0)
      let second = LoopbackClient(to: run.endpoint)
      _ = second.send(pattern(0..<100_000))
      // The reset has ended the sending, or ends this.
      #expect(unsafe Glibc.recv(second.descriptor, &byte, 1, 0) <= 0)
      #expect(Self.end(of: run.endpoint) == ECONNRESET)
    }
    run.control.ask(.stop)
    let result = try run.finish()
    #expect(result.stage.bytes == 150_000)
    #expect(result.stage.ends == [.finished, .limited])
    #expect(result.counters.limited == 1)
    #expect(result.counters.peerBytes == 1)
    #expect(result.stage.turnedAway == [.bytes])
    #expect(result.home)
  }
}
