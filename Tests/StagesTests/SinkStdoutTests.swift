import Dispatch
import Glibc
import IngestTestSupport
import RingCore
import Stages
import Synchronization
import Testing

@Suite("stdout sink")
struct SinkStdoutTests {
  /// A pipe whose reader collects what comes, on another thread.
  final class Collector: Sendable {
    let writer: Int32
    private let reader: Int32
    private let received = Mutex<[UInt8]>([])
    private let done = DispatchSemaphore(value: 0)

    init(nonBlocking: Bool) throws {
      (reader, writer) = try makePipe()
      if nonBlocking { _ = fcntl(writer, F_SETFL, O_NONBLOCK) }
      DispatchQueue.global().async { [self] in
        let bytes = readToEnd(reader)
        received.withLock { $0 = bytes }
        done.signal()
      }
    }

    /// Closes the pipe and returns everything that went through.
    func finish() -> [UInt8] {
      Glibc.close(writer)
      done.wait()
      Glibc.close(reader)
      return received.withLock { $0 }
    }
  }

  @Test("what arrives leaves in the same order, through a full pipe", arguments: [false, true])
  func order(nonBlocking: Bool) throws {
    let pipe = try Collector(nonBlocking: nonBlocking)
    var sink = try StdoutSink(descriptor: pipe.writer, maxConnections: 1, recordBound: nil)
    #expect(sink.readsPayload == false)
    var driver = try SinkDriver(withRing: false)
    var generator = SeededGenerator(seed: 31)
    var stream = recordStream(
      slot: 0, serial: 1, records: 200, upTo: 30_000, &generator)
    driver.open(stream, &sink)
    while stream.left > 0 {
      try driver.deliver(generator.logUniform(upTo: 16384), of: &stream, to: &sink)
    }
    driver.close(stream, &sink)
    driver.drain(&sink)
    #expect(pipe.finish() == stream.bytes)
    #expect(sink.counters.bytes == UInt64(stream.bytes.count))
    #expect(sink.counters.copiedBytes == 0)
    #expect(driver.out.isEmpty)
  }

  @Test("records of several connections do not mix", arguments: SinkBytes.allCases)
  func records(bytes: SinkBytes) throws {
    let pipe = try Collector(nonBlocking: true)
    var sink = try StdoutSink(
      descriptor: pipe.writer, bytes: bytes, maxConnections: 3, recordBound: 3013)
    var driver = try SinkDriver(withRing: false)
    var generator = SeededGenerator(seed: 32)
    var streams = (0..<3).map { slot in
      recordStream(
        slot: UInt32(slot), serial: UInt64(slot + 1), records: 100, upTo: 3000, &generator)
    }
    // Records leave in the order of their ends.
    var expected: [UInt8] = []
    for stream in streams { driver.open(stream, &sink) }
    while let index = streams.indices.filter({ streams[$0].left > 0 }).randomElement(
      using: &generator)
    {
      let before = streams[index]
      try driver.deliver(generator.logUniform(upTo: 4000), of: &streams[index], to: &sink)
      var start = before.cursor - before.into
      for record in before.records[before.record..<streams[index].record] {
        let low = bytes == .all ? 0 : record.lead
        let high = bytes == .all ? record.count : record.lead + record.payload
        expected += before.bytes[(start + low)..<(start + high)]
        start += record.count
      }
    }
    // A last line without a newline is complete when its stream is.
    var last = SampleStream(
      slot: 0, serial: 9, bytes: Array("the end".utf8), records: [SampleRecord(payload: 7)])
    last.openEnd = true
    for stream in streams { driver.close(stream, &sink) }
    driver.open(last, &sink)
    try driver.deliver(3, of: &last, to: &sink)
    try driver.deliver(4, of: &last, to: &sink)
    driver.close(last, &sink)
    #expect(pipe.finish() == expected + last.bytes)
    #expect(sink.counters.copiedBytes > 0)
    #expect(driver.out.isEmpty)
  }

  @Test("a reader that goes away ends the sink with a sentence, not the process")
  func closedPipe() throws {
    // What the command does for the whole process (ik_signal_descriptor).
    _ = signal(SIGPIPE, SIG_IGN)
    let (reader, writer) = try makePipe()
    var sink = try StdoutSink(descriptor: writer, maxConnections: 2, recordBound: nil)
    var driver = try SinkDriver(withRing: false)
    var stream = SampleStream(
      slot: 1, serial: 4, bytes: [UInt8](repeating: 1, count: 300),
      records: [SampleRecord(payload: 300)])
    driver.open(stream, &sink)
    try driver.deliver(100, of: &stream, to: &sink)
    #expect(driver.refusals.isEmpty)
    Glibc.close(reader)
    try driver.deliver(100, of: &stream, to: &sink)
    try driver.deliver(100, of: &stream, to: &sink)
    driver.close(stream, &sink, .refused)
    driver.drain(&sink)
    Glibc.close(writer)
    #expect(driver.refusals == [1, 1])
    driver.expectAccounted(sink.counters)
    #expect(driver.faults.first?.connection == 4)
    #expect(driver.faults.first?.offset == 100)
    #expect(
      sink.failures.map(\.description) == [
        "standard output was closed by its reader after 100 bytes"
      ])
    #expect(driver.out.isEmpty)
  }

  @Test("a null sink counts and keeps nothing")
  func null() throws {
    var sink = NullSink()
    var driver = try SinkDriver(withRing: false)
    var generator = SeededGenerator(seed: 33)
    var stream = recordStream(slot: 0, serial: 1, records: 20, upTo: 5000, &generator)
    driver.open(stream, &sink)
    while stream.left > 0 { try driver.deliver(1000, of: &stream, to: &sink) }
    #expect(sink.counters.bytes == UInt64(stream.bytes.count))
    #expect(driver.out.isEmpty)
  }
}
