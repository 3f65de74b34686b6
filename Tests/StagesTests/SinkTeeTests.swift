import Glibc
import IngestTestSupport
import RingCore
import Stages
import Testing
import ZeroCopy

@Suite("tee sink")
struct SinkTeeTests {
  private static func file(
    _ path: String, _ connections: Int, _ limits: FileSinkLimits? = nil
  ) throws -> TeeSink.Branch {
    var options = FileSinkOptions(path: path)
    options.sync = .none
    return EitherSink(
      try FileSink(options, maxConnections: connections, recordBound: nil, limits: limits))
  }

  private static func forward(
    _ port: UInt16, _ connections: Int, holdLimit: Int
  ) throws -> TeeSink.Branch {
    EitherSink(
      other: EitherSink(
        try ForwardSink(
          ForwardSinkOptions(host: "127.0.0.1", port: port), maxConnections: connections,
          holdLimit: holdLimit, control: .endless)))
  }

  @Test(
    "both get every byte, and a lease comes back when both are through with it",
    arguments: [4096, 64, 6], [false, true])
  func identity(holdLimit: Int, forwardFirst: Bool) throws {
    let directory = try TemporaryDirectory()
    let far = try FarEnd()
    var driver = try SinkDriver(holdLimit: holdLimit)
    var generator = SeededGenerator(seed: 31 + UInt64(holdLimit))
    var streams = (0..<3).map { index in
      recordStream(
        slot: UInt32(index), serial: UInt64(index + 1), records: 200, upTo: 9000, &generator)
    }
    let file = try SinkTeeTests.file(directory.path, 3)
    let forward = try SinkTeeTests.forward(far.port, 3, holdLimit: holdLimit / 2)
    var sink = forwardFirst ? TeeSink(forward, file) : TeeSink(file, forward)
    for stream in streams { driver.open(stream, &sink) }
    driver.drain(&sink)
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
    let wanted = Set(streams.map(\.bytes))
    #expect(Set(far.ended(3).map(\.bytes)) == wanted)
    #expect(Set(directory.names.compactMap { contents(directory.path + "/" + $0) }) == wanted)
    #expect(sink.counters.bytes == 2 * UInt64(streams.reduce(0) { $0 + $1.bytes.count }))
    #expect(sink.counters.copiedBytes == 0)
  }

  @Test("two files each, with requests that have the same numbers")
  func alike() throws {
    let one = try TemporaryDirectory()
    let two = try TemporaryDirectory()
    var driver = try SinkDriver(buffers: 4)
    var generator = SeededGenerator(seed: 4)
    var stream = recordStream(slot: 0, serial: 1, records: 300, upTo: 9000, &generator)
    let limits = FileSinkLimits(operations: 3, vectors: 4, leases: 64)
    var sink = TeeSink(
      try SinkTeeTests.file(one.path, 1, limits), try SinkTeeTests.file(two.path, 1, limits))
    driver.open(stream, &sink)
    while stream.left > 0 {
      try driver.deliver(generator.logUniform(upTo: 16384), of: &stream, to: &sink)
      driver.endBatch(&sink)
    }
    driver.close(stream, &sink)
    driver.drain(&sink)
    #expect(driver.out.isEmpty && sink.failures.isEmpty)
    for directory in [one, two] {
      #expect(directory.names.count == 1)
      #expect(contents(directory.path + "/" + (directory.names.first ?? "")) == stream.bytes)
    }
  }

  @Test("where one of the two cannot go on, the connection is refused for both")
  func refused() throws {
    let directory = try TemporaryDirectory()
    let far = try FarEnd(readsAtMost: 200_000)
    var driver = try SinkDriver(buffers: 64)
    var sink = TeeSink(
      try SinkTeeTests.file(directory.path, 1),
      try SinkTeeTests.forward(far.port, 1, holdLimit: 2048))
    var stream = sample(
      slot: 0, serial: 1, bytes: [UInt8](repeating: 3, count: 40 << 20), record: 1 << 20)
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
    #expect(sink.failures.count == 1)
    let written = contents(directory.path + "/" + (directory.names.first ?? ""))
    #expect(written?.count == stream.cursor)
  }
}
