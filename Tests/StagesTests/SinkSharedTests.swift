import CIngestKernel
import Dispatch
import Glibc
import IngestTestSupport
import RingCore
import Stages
import Synchronization
import Testing
import ZeroCopy

@testable import IngestConsumer

@Suite("shm sink")
struct SinkSharedTests {
  private static func sink(
    _ directory: TemporaryDirectory, _ driver: borrowing SinkDriver, ring: Int = 64,
    onDeath: SharedSinkOptions.OnDeath = .stop, wait: Bool = true,
    control: RunControl = .endless
  ) throws -> SharedSink {
    var options = SharedSinkOptions(path: directory.path + "/sock")
    options.ring = ring
    options.onDeath = onDeath
    options.wait = wait
    return try SharedSink(
      options, area: driver.area.descriptor, areaBytes: driver.area.layout.byteCount,
      maxConnections: 3, holdLimit: driver.batch.holdLimit, control: control)
  }

  private static func streams(_ generator: inout SeededGenerator) -> [SampleStream] {
    (0..<3).map { slot in
      recordStream(
        slot: UInt32(slot), serial: UInt64(slot + 1), records: 150, upTo: 9000, &generator)
    }
  }

  /// Delivers the streams in random turns, at least `limit` bytes where they have as many.
  private static func deliver(
    _ streams: inout [SampleStream], _ sink: inout SharedSink, _ driver: inout SinkDriver,
    _ generator: inout SeededGenerator, upTo limit: Int = .max
  ) throws {
    var delivered = 0
    while delivered < limit,
      let index = streams.indices.filter({ streams[$0].left > 0 }).randomElement(using: &generator)
    {
      let before = streams[index].left
      try driver.deliver(generator.logUniform(upTo: 16384), of: &streams[index], to: &sink)
      delivered += before - streams[index].left
      if Int.random(in: 0...3, using: &generator) == 0 {
        driver.endBatch(&sink)
        driver.reap(&sink)
      }
    }
  }

  @Test(
    "another side sees the same bytes, and every claim comes back once",
    arguments: [2, 4, 64, 8192], [8, 4096])
  func identity(ring: Int, holdLimit: Int) throws {
    let directory = try TemporaryDirectory()
    var driver = try SinkDriver(isShared: true, holdLimit: holdLimit)
    var generator = SeededGenerator(seed: UInt64(ring + holdLimit))
    var streams = Self.streams(&generator)
    let consumer: ConsumerThread
    do {
      var sink = try Self.sink(directory, driver, ring: ring)
      consumer = ConsumerThread(path: directory.path + "/sock", seed: 5)
      for stream in streams { driver.open(stream, &sink) }
      try Self.deliver(&streams, &sink, &driver, &generator)
      for stream in streams { driver.close(stream, &sink) }
      driver.drain(&sink)
      #expect(sink.counters.bytes == UInt64(streams.reduce(0) { $0 + $1.bytes.count }))
      #expect(sink.counters.lostBytes == 0 && sink.counters.copiedBytes == 0)
      #expect(sink.failures.isEmpty)
    }
    let outcome = consumer.finish()
    #expect(outcome.error == nil)
    for stream in streams {
      let serial = stream.connection.serial
      #expect(outcome.streams[serial] == stream.bytes, "connection \(serial)")
      #expect(outcome.records[serial] == stream.records.count)
    }
    #expect(outcome.closed == [1, 2, 3])
    #expect(outcome.resumed.isEmpty)
    #expect(driver.out.isEmpty)
    #expect(directory.names.isEmpty, "the socket is removed")
  }

  @Test("a consumer that goes away loses what it had; the next takes the rest")
  func nextConsumer() throws {
    let directory = try TemporaryDirectory()
    var driver = try SinkDriver(isShared: true)
    var generator = SeededGenerator(seed: 9)
    var streams = Self.streams(&generator)
    let total = streams.reduce(0) { $0 + $1.bytes.count }
    let second: ConsumerThread
    do {
      var sink = try Self.sink(directory, driver, onDeath: .continue)
      let first = ConsumerThread(path: directory.path + "/sock", seed: 1, claims: 40)
      for stream in streams { driver.open(stream, &sink) }
      while first.taken == 0 {
        try Self.deliver(&streams, &sink, &driver, &generator, upTo: 1)
      }
      // Stands in line until the first one is gone.
      second = ConsumerThread(path: directory.path + "/sock", seed: 2)
      try Self.deliver(&streams, &sink, &driver, &generator)
      #expect(first.finish().error == nil)
      for stream in streams { driver.close(stream, &sink) }
      driver.drain(&sink)
      let counters = sink.counters
      #expect(counters.lostBytes > 0 && counters.lostRecords > 0)
      #expect(counters.bytes + counters.lostBytes == UInt64(total))
      #expect(sink.failures.count == 1)
      let text = sink.failures.first?.description ?? ""
      #expect(text.contains("the consumer (process \(getpid())) went away: "))
      #expect(text.contains("\(counters.lostRecords) records of \(counters.lostBytes) bytes"))
    }
    let outcome = second.finish()
    #expect(outcome.error == nil)
    #expect(outcome.resumed.sorted() == [1, 2, 3])
    for stream in streams {
      // What it got is the end of each stream, whole.
      let got = outcome.streams[stream.connection.serial] ?? []
      #expect(got.count > 0 && stream.bytes.suffix(got.count) == got[...])
    }
    #expect(driver.out.isEmpty)
  }

  @Test("with on-death=stop its end is the run's, and connections are refused")
  func stop() throws {
    let directory = try TemporaryDirectory()
    var driver = try SinkDriver(isShared: true)
    var generator = SeededGenerator(seed: 10)
    var streams = Self.streams(&generator)
    let stops = StopCount()
    let control = RunControl(asked: { .go }, stop: { stops.add() })
    var sink = try Self.sink(directory, driver, control: control)
    let consumer = ConsumerThread(path: directory.path + "/sock", seed: 1, claims: 20)
    for stream in streams { driver.open(stream, &sink) }
    try Self.deliver(&streams, &sink, &driver, &generator)
    #expect(consumer.finish().error == nil)
    driver.drain(&sink)
    #expect(stops.count == 1)
    #expect(Set(driver.refusals) == [0, 1, 2])
    #expect(driver.faults.contains { $0.kind == .sink && $0.found == UInt64(EPIPE) })
    #expect(sink.failures.count == 1)
    #expect(sink.failures.first?.remedy?.contains("on-death=continue") == true)
    #expect(driver.out.isEmpty)
    #expect(directory.names.isEmpty, "nobody can connect any more")
    // A connection that comes later is refused as well.
    let late = SampleStream(slot: 1, serial: 7, bytes: [1], records: [SampleRecord(payload: 1)])
    driver.refusals = []
    driver.open(late, &sink)
    #expect(driver.refusals == [1])
  }

  @Test("nothing that a consumer writes breaks the sink", arguments: 1...6 as ClosedRange<UInt64>)
  func hostile(seed: UInt64) throws {
    let directory = try TemporaryDirectory()
    var driver = try SinkDriver(isShared: true, holdLimit: 64)
    var generator = SeededGenerator(seed: seed)
    var streams = Self.streams(&generator)
    let total = streams.reduce(0) { $0 + $1.bytes.count }
    let path = directory.path + "/sock"
    let honest = Mutex<ConsumerThread?>(nil)
    do {
      var sink = try Self.sink(directory, driver, ring: 32, onDeath: .continue)
      Thread.run {
        HostileConsumer.run(path: path, rounds: 25, seed: seed)
        honest.withLock { $0 = ConsumerThread(path: path, seed: seed) }
      }
      for stream in streams { driver.open(stream, &sink) }
      try Self.deliver(&streams, &sink, &driver, &generator)
      for stream in streams { driver.close(stream, &sink) }
      driver.drain(&sink)
      #expect(sink.counters.bytes + sink.counters.lostBytes == UInt64(total))
      #expect(sink.counters.lostBytes > 0)
      #expect(!sink.failures.isEmpty)
    }
    #expect(driver.out.isEmpty, "every claim came back, once")
    while true {
      if let honest = honest.withLock({ $0 }) {
        _ = honest.finish()
        return
      }
      usleep(1000)
    }
  }

  @Test("without a consumer data wait, until a stop says that nobody will come")
  func waiting() throws {
    let directory = try TemporaryDirectory()
    var driver = try SinkDriver(isShared: true)
    let stream = SampleStream(
      slot: 0, serial: 1, bytes: [UInt8](repeating: 1, count: 300),
      records: [SampleRecord(payload: 100), SampleRecord(payload: 200)])
    var delivered = stream
    let asked = Mutex(RunControl.Request.go)
    let control = RunControl(asked: { asked.withLock { $0 } }, stop: {})
    var sink = try Self.sink(directory, driver, control: control)
    driver.open(stream, &sink)
    try driver.deliver(300, of: &delivered, to: &sink)
    driver.endBatch(&sink)
    #expect(sink.pending == 1 && sink.failures.isEmpty)
    asked.withLock { $0 = .stop }
    driver.endBatch(&sink)
    #expect(sink.pending == 0)
    #expect(sink.counters.lostRecords == 2 && sink.counters.lostBytes == 300)
    #expect(sink.failures.first?.description.contains("no consumer came: 2 records of 300") == true)
    #expect(driver.out.isEmpty)
  }

  @Test("with wait=no data without a consumer are let go of, and counted")
  func notWaiting() throws {
    let directory = try TemporaryDirectory()
    var driver = try SinkDriver(isShared: true)
    var stream = SampleStream(
      slot: 0, serial: 1, bytes: Array(0..<200),
      records: [SampleRecord(payload: 100), SampleRecord(payload: 100)])
    let consumer: ConsumerThread
    do {
      var sink = try Self.sink(directory, driver, wait: false)
      driver.open(stream, &sink)
      try driver.deliver(100, of: &stream, to: &sink)
      #expect(sink.pending == 0)
      driver.endBatch(&sink)
      consumer = ConsumerThread(path: directory.path + "/sock", seed: 1)
      driver.reap(&sink, .one)
      try driver.deliver(100, of: &stream, to: &sink)
      driver.close(stream, &sink)
      driver.drain(&sink)
      #expect(sink.counters.lostRecords == 1 && sink.counters.lostBytes == 100)
      #expect(sink.counters.bytes == 100)
      #expect(sink.failures.isEmpty)
    }
    let outcome = consumer.finish()
    #expect(outcome.streams == [1: Array(100..<200)])
    #expect(outcome.resumed == [1])
  }

  @Test("with full=drop a consumer that is behind loses whole records, counted and told")
  func drops() throws {
    let directory = try TemporaryDirectory()
    var driver = try SinkDriver(isShared: true)
    var generator = SeededGenerator(seed: 12)
    var streams = Self.streams(&generator)
    let consumer: ConsumerThread
    let counters: SinkCounters
    do {
      var options = SharedSinkOptions(path: directory.path + "/sock")
      options.dropsRecords = true
      options.queue = 100_000
      var sink = try SharedSink(
        options, area: driver.area.descriptor, areaBytes: driver.area.layout.byteCount,
        maxConnections: 3, holdLimit: driver.batch.holdLimit, control: .endless)
      for stream in streams { driver.open(stream, &sink) }
      // Nobody is there; nothing waits for somebody but what there is room for.
      try Self.deliver(&streams, &sink, &driver, &generator, upTo: 300_000)
      #expect(sink.counters.droppedBytes > 100_000)
      consumer = ConsumerThread(path: directory.path + "/sock", seed: 5)
      try Self.deliver(&streams, &sink, &driver, &generator)
      for stream in streams { driver.close(stream, &sink) }
      driver.drain(&sink)
      counters = sink.counters
      driver.expectAccounted(sink.counters)
      #expect(counters.lostBytes == 0 && sink.failures.isEmpty)
    }
    let outcome = consumer.finish()
    #expect(outcome.error == nil && driver.out.isEmpty)
    var dropped: UInt64 = 0
    for stream in streams {
      let got = outcome.streams[stream.connection.serial] ?? []
      var (at, from) = (0, 0)
      for record in stream.records {
        let isThere = got[at...].starts(with: stream.bytes[from..<from + record.count])
        if isThere { at += record.count } else { dropped += 1 }
        from += record.count
      }
      #expect(at == got.count, "a record was cut in two")
    }
    #expect(counters.droppedRecords == dropped && dropped > 0)
    #expect(driver.faults.allSatisfy { $0.kind == .dropped })
    #expect(Set(driver.faults.map(\.connection)).count == driver.faults.count)
  }

  @Test("a path that is taken, too long or nowhere is refused; a dead one's is taken over")
  func paths() throws {
    let directory = try TemporaryDirectory()
    let driver = try SinkDriver(isShared: true)
    do {
      let first = try Self.sink(directory, driver)
      let error = #expect(throws: SinkError.self) { _ = try Self.sink(directory, driver) }
      #expect(error?.what.contains("Address already in use") == true)
      #expect(first.failures.isEmpty)
    }
    // A socket that nobody listens at any more.
    let path = directory.path + "/sock"
    let left = unsafe path.withCString { unsafe ik_unix_listen($0, Int32(SOCK_STREAM.rawValue)) }
    try #require(left >= 0)
    close(left)
    #expect(directory.names == ["sock"])
    let second = try Self.sink(directory, driver)
    #expect(second.failures.isEmpty)
    for path in ["/nowhere/at/all/sock", "/tmp/" + String(repeating: "x", count: 200)] {
      let error = #expect(throws: SinkError.self) {
        _ = try SharedSink(
          SharedSinkOptions(path: path), area: driver.area.descriptor, areaBytes: 4096,
          maxConnections: 1, holdLimit: 1, control: .endless)
      }
      #expect(error?.remedy != nil)
    }
  }
}

/// How often a run was asked to stop.
final class StopCount: Sendable {
  private let value = Atomic<Int>(0)
  func add() { value.wrappingAdd(1, ordering: .relaxed) }
  var count: Int { value.load(ordering: .relaxed) }
}
