import CIngestKernel
import Dispatch
import Glibc
import IngestTestSupport
import RingCore
import Stages
import Synchronization
import Testing
import ZeroCopy

@Suite("forward sink")
struct SinkForwardTests {
  /// Limits, from those that everything fits in to those that almost nothing does.
  static let limits: [ForwardSinkLimits?] = [
    nil,
    ForwardSinkLimits(links: 8, leases: 2, runs: 64, flights: 4, messages: 2, vectors: 4),
    ForwardSinkLimits(links: 8, leases: 64, runs: 3, flights: 1, messages: 1, vectors: 2),
  ]

  @Test(
    "streams arrive whole and in order, then their ends", arguments: [0, 1, 2],
    ForwardSinkOptions.Method.allCases)
  func identity(limit: Int, method: ForwardSinkOptions.Method) throws {
    for bytes in SinkBytes.allCases {
      let far = try FarEnd()
      var options = ForwardSinkOptions(host: "127.0.0.1", port: far.port)
      options.method = method
      options.bytes = bytes
      var driver = try SinkDriver()
      var generator = SeededGenerator(seed: 77 + UInt64(limit))
      var streams = (0..<3).map { index in
        recordStream(
          slot: UInt32(index), serial: UInt64(index + 1), records: 200, upTo: 9000, &generator)
      }
      var sink = try ForwardSink(
        options, maxConnections: 3, holdLimit: 4096, control: .endless,
        limits: SinkForwardTests.limits[limit])
      for stream in streams { driver.open(stream, &sink) }
      try driver.connect(&sink)
      while let index = streams.indices.filter({ streams[$0].left > 0 }).randomElement(
        using: &generator)
      {
        try driver.deliver(generator.logUniform(upTo: 16384), of: &streams[index], to: &sink)
        if streams[index].left == 0 { driver.close(streams[index], &sink) }
        if generator.next() % 4 == 0 {
          driver.endBatch(&sink)
          driver.reap(&sink)
        }
      }
      driver.drain(&sink)
      #expect(sink.failures.isEmpty && driver.faults.isEmpty && driver.refusals.isEmpty)
      #expect(driver.out.isEmpty)
      let wanted = streams.map { bytes == .all ? $0.bytes : $0.payload }
      #expect(Set(far.ended(3).map(\.bytes)) == Set(wanted))
      #expect(sink.counters.bytes == UInt64(wanted.reduce(0) { $0 + $1.count }))
      #expect(sink.counters.copiedBytes == 0)
      // Where next to nothing may be held, the thread sends by itself.
      if limit == 1 { #expect(sink.counters.syncWrites > 0) }
      if method == .send { #expect(sink.counters.kernelCopiedBytes == sink.counters.bytes) }
      // Loopback copies what a zero-copy send gives it, and the notification says so.
      if method == .zeroCopy, limit == 0 {
        #expect(sink.counters.zeroCopyBytes == sink.counters.bytes)
        #expect(sink.counters.kernelCopiedBytes == sink.counters.bytes)
      }
    }
  }

  @Test("an end that is no FIN is passed on as a reset, after the last byte")
  func cut() throws {
    let far = try FarEnd()
    var driver = try SinkDriver()
    var sink = try ForwardSink(
      ForwardSinkOptions(host: "127.0.0.1", port: far.port), maxConnections: 1, holdLimit: 4096,
      control: .endless)
    var generator = SeededGenerator(seed: 5)
    var stream = sample(slot: 0, serial: 1, bytes: generator.bytes(100_000))
    driver.open(stream, &sink)
    while stream.left > 0 { try driver.deliver(16384, of: &stream, to: &sink) }
    driver.close(stream, &sink, .failed(ECONNRESET))
    driver.drain(&sink)
    let ends = far.ended(1)
    #expect(ends.first?.bytes == stream.bytes)
    #expect(ends.first?.errno == ECONNRESET)
    #expect(sink.failures.isEmpty)
    #expect(driver.out.isEmpty)
  }

  @Test("where nobody listens the connection is refused, and what to do is said")
  func nobody() throws {
    // Bound and not listening: nobody else can have the port.
    let taken = try FarEnd(listens: false)
    var driver = try SinkDriver()
    var sink = try ForwardSink(
      ForwardSinkOptions(host: "127.0.0.1", port: taken.port), maxConnections: 2, holdLimit: 4096,
      control: .endless)
    var stream = sample(slot: 1, serial: 9, bytes: [UInt8](repeating: 7, count: 50_000))
    driver.open(stream, &sink)
    // Bytes that come before the answer wait for it.
    try driver.deliver(16384, of: &stream, to: &sink)
    driver.drain(&sink)
    #expect(driver.refusals == [1])
    #expect(driver.faults.first?.kind == .sink)
    #expect(driver.faults.first?.connection == 9)
    #expect(driver.faults.first?.found == UInt64(ECONNREFUSED))
    driver.close(stream, &sink, .refused)
    driver.drain(&sink)
    #expect(driver.out.isEmpty)
    driver.expectAccounted(sink.counters)
    #expect(sink.failures.count == 1)
    let said = sink.failures.first
    #expect(said?.description.contains("could not connect: Connection refused") == true)
    #expect(said?.remedy?.contains("start the receiver first") == true)
  }

  @Test("a receiver that goes away refuses its connection alone; leases come back")
  func gone() throws {
    let far = try FarEnd(readsAtMost: 300_000)
    var driver = try SinkDriver(buffers: 64)
    var sink = try ForwardSink(
      ForwardSinkOptions(host: "127.0.0.1", port: far.port), maxConnections: 1, holdLimit: 4096,
      control: .endless)
    var stream = sample(
      slot: 0, serial: 1, bytes: [UInt8](repeating: 1, count: 40 << 20), record: 1 << 20)
    driver.open(stream, &sink)
    while stream.left > 0, driver.refusals.isEmpty {
      try driver.deliver(16384, of: &stream, to: &sink)
      driver.endBatch(&sink)
      driver.reap(&sink)
    }
    #expect(driver.refusals == [0])
    driver.close(stream, &sink, .refused)
    driver.drain(&sink)
    #expect(driver.out.isEmpty)
    driver.expectAccounted(sink.counters)
    #expect(sink.counters.lostBytes > 0)
    let said = try #require(sink.failures.first)
    #expect(said.description.contains("Connection reset by peer"), "\(said)")
    #expect(said.remedy?.contains("before it had everything") == true)
    #expect(try #require(driver.faults.first).offset <= UInt64(stream.cursor))
  }

  @Test("a receiver that rests holds leases, and nothing else, until it reads on")
  func slow() throws {
    let far = try FarEnd(restsFor: 600_000)
    var driver = try SinkDriver(buffers: 16)
    var sink = try ForwardSink(
      ForwardSinkOptions(host: "127.0.0.1", port: far.port), maxConnections: 1, holdLimit: 4096,
      control: .endless)
    var generator = SeededGenerator(seed: 8)
    var stream = sample(slot: 0, serial: 1, bytes: generator.bytes(24 << 20))
    driver.open(stream, &sink)
    // The driver waits for completions where all 16 buffers are out: that is the back-pressure.
    while stream.left > 0 { try driver.deliver(16384, of: &stream, to: &sink) }
    driver.close(stream, &sink)
    driver.drain(&sink)
    #expect(far.ended(1).first?.bytes == stream.bytes)
    #expect(sink.counters.syncWrites == 0)
    #expect(driver.out.isEmpty && sink.failures.isEmpty)
  }
}

extension SinkDriver {
  /// Runs the ring until connections are made: sends that go out at once need one.
  mutating func connect(_ sink: inout ForwardSink) throws {
    endBatch(&sink)
    while sink.pending > 0 {
      reap(&sink, .one)
      endBatch(&sink)
    }
  }
}

/// A host that connections are forwarded to: takes what comes and keeps it.
final class FarEnd: Sendable {
  struct End: Sendable {
    var bytes: [UInt8]
    /// How it ended: 0 is a FIN.
    var errno: Int32
  }

  let listener: Int32
  let port: UInt16
  private let ends = Mutex<[End]>([])
  private let done = DispatchSemaphore(value: 0)

  /// - Parameters:
  ///   - listens: whether anybody takes connections.
  ///   - readsAtMost: bytes after which a connection is reset.
  ///   - restsFor: microseconds before the first byte is read.
  ///   - pauses: microseconds between two looks, of which each takes 64 KiB.
  ///   - gate: opened when reading may begin.
  init(
    listens: Bool = true, readsAtMost: Int = .max, restsFor: UInt32 = 0, pauses: UInt32 = 0,
    gate: StopCount? = nil
  ) throws {
    var at = ik_endpoint()
    at.family = UInt16(AF_INET)
    at.address.0 = 127
    at.address.3 = 1
    listener = unsafe ik_listen(&at, 16, 0, 0, nil)
    try #require(listener >= 0)
    var bound = ik_endpoint()
    try #require(unsafe ik_endpoint_of(listener, 0, &bound) == 0)
    port = bound.port
    guard listens else {
      // Not listening any more, and the port stays taken.
      shutdown(listener, Int32(SHUT_RDWR))
      return
    }
    let listener = listener
    Thread.run { [weak self] in
      while true {
        let peer = accept(listener, nil, nil)
        guard peer >= 0 else { return }
        Thread.run { [weak self] in
          if restsFor > 0 { usleep(restsFor) }
          while let gate, gate.count == 0 { usleep(1000) }
          let end = FarEnd.read(peer, readsAtMost, pauses)
          close(peer)
          self?.ends.withLock { $0.append(end) }
          self?.done.signal()
        }
      }
    }
  }

  deinit {
    shutdown(listener, Int32(SHUT_RDWR))
    close(listener)
  }

  private static func read(_ peer: Int32, _ most: Int, _ pauses: UInt32) -> End {
    var end = End(bytes: [], errno: 0)
    var chunk = [UInt8](repeating: 0, count: 65536)
    while end.bytes.count < most {
      let count = unsafe recv(peer, &chunk, chunk.count, 0)
      if count < 0 { end.errno = errno }
      if count <= 0 { return end }
      end.bytes += chunk[..<count]
      if pauses > 0 { usleep(pauses) }
    }
    _ = ik_abort(peer)
    return end
  }

  /// Waits for so many connections to end.
  func ended(_ count: Int) -> [End] {
    for _ in 0..<count { _ = done.wait(timeout: .now() + 20) }
    return ends.withLock { $0 }
  }
}
