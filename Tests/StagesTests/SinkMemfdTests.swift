import CIngestKernel
import CIngestShm
import Glibc
import IngestTestSupport
import RingCore
import Stages
import Testing

/// Connections as files: messages, bounds and ends. tools/acceptance has a reader that takes them.
@Suite("unix sink, mode=fd")
struct SinkMemfdTests {
  /// A sink, and the reader's end of its socket.
  private static func make(
    _ directory: TemporaryDirectory, max: Int = 1 << 20
  ) throws -> (sink: SinkBox, reader: Int32) {
    let path = directory.path + "/reader"
    let listener = unsafe path.withCString {
      unsafe ik_unix_listen($0, Int32(SOCK_SEQPACKET.rawValue))
    }
    try #require(listener >= 0)
    defer { close(listener) }
    var options = UnixSinkOptions(path: path)
    options.mode = .fd
    options.max = max
    let sink = try MemfdSink(options, maxConnections: 3, control: .endless)
    var process: Int32 = 0
    let reader = unsafe ik_unix_accept(listener, &process)
    try #require(reader >= 0)
    return (SinkBox(sink), reader)
  }

  /// The next message; its file is not taken.
  private static func message(_ reader: Int32) -> ingest_file_message? {
    var message = ingest_file_message()
    let size = MemoryLayout<ingest_file_message>.size
    return unsafe recv(reader, &message, size, Int32(MSG_DONTWAIT)) == size ? message : nil
  }

  @Test("each connection is one message when it ends")
  func messages() throws {
    let directory = try TemporaryDirectory()
    let (box, reader) = try Self.make(directory)
    defer { close(reader) }
    var driver = try SinkDriver(withRing: false)
    var generator = SeededGenerator(seed: 51)
    for serial in 1...30 as ClosedRange<UInt64> {
      var stream = recordStream(
        slot: UInt32(serial % 3), serial: serial, records: 10, upTo: 4000, &generator)
      driver.open(stream, &box.sink)
      while stream.left > 0 {
        try driver.deliver(generator.logUniform(upTo: 16384), of: &stream, to: &box.sink)
      }
      #expect(Self.message(reader) == nil)
      driver.close(stream, &box.sink, serial == 9 ? .failed(ECONNRESET) : .finished)
      let message = Self.message(reader)
      #expect(message?.magic == INGEST_FILE_MAGIC && message?.version == INGEST_FILE_VERSION)
      #expect(message?.serial == serial)
      #expect(message?.length == UInt64(stream.bytes.count))
      #expect(message?.records == 10)
      #expect(message?.end == UInt32(serial == 9 ? INGEST_FILE_FAILED : INGEST_FILE_FINISHED))
    }
    #expect(box.sink.counters.copiedBytes == box.sink.counters.bytes)
    #expect(box.sink.counters.lostBytes == 0 && box.sink.failures.isEmpty)
    #expect(driver.out.isEmpty)
  }

  @Test("what exceeds max= refuses its connection alone, and the memory is free again")
  func bound() throws {
    let directory = try TemporaryDirectory()
    let (box, reader) = try Self.make(directory, max: 10_000)
    defer { close(reader) }
    var driver = try SinkDriver(withRing: false)
    var small = sample(slot: 0, serial: 1, bytes: [UInt8](repeating: 1, count: 3000))
    var large = sample(slot: 1, serial: 2, bytes: [UInt8](repeating: 2, count: 14_000))
    for stream in [small, large] { driver.open(stream, &box.sink) }
    try driver.deliver(3000, of: &small, to: &box.sink)
    try driver.deliver(7000, of: &large, to: &box.sink)
    #expect(driver.refusals.isEmpty)
    try driver.deliver(7000, of: &large, to: &box.sink)
    #expect(driver.refusals == [1])
    driver.close(large, &box.sink, .refused)
    #expect(Self.message(reader) == nil, "half a connection is not handed over")
    // What its file had, and what came then.
    #expect(box.sink.counters.lostBytes == 14_000)
    #expect(box.sink.failures.first?.description.contains("connection 2") == true)
    #expect(box.sink.failures.first?.remedy?.contains("max=SIZE") == true)
    // Its memory serves the next one.
    var next = sample(slot: 1, serial: 3, bytes: [UInt8](repeating: 3, count: 7000))
    driver.open(next, &box.sink)
    try driver.deliver(7000, of: &next, to: &box.sink)
    driver.close(next, &box.sink)
    driver.close(small, &box.sink)
    #expect(Self.message(reader)?.serial == 3)
    #expect(Self.message(reader)?.serial == 1)
    #expect(driver.refusals == [1])
  }

  @Test("a reader that goes away is told, and later connections are refused")
  func readerGone() throws {
    let directory = try TemporaryDirectory()
    let (box, reader) = try Self.make(directory)
    var driver = try SinkDriver(withRing: false)
    var stream = sample(slot: 0, serial: 1, bytes: [UInt8](repeating: 1, count: 3000))
    driver.open(stream, &box.sink)
    try driver.deliver(3000, of: &stream, to: &box.sink)
    close(reader)
    driver.close(stream, &box.sink)
    #expect(box.sink.counters.bytes == 0 && box.sink.counters.lostBytes == 3000)
    #expect(box.sink.failures.first?.description.contains("closed by its reader") == true)
    driver.open(sample(slot: 2, serial: 2, bytes: [1]), &box.sink)
    #expect(driver.refusals == [2])
  }
}

/// A sink where a tuple can hold it.
final class SinkBox {
  var sink: MemfdSink
  init(_ sink: consuming MemfdSink) { self.sink = sink }
}
