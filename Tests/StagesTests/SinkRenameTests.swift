import Glibc
import IngestTestSupport
import RingCore
import Stages
import Testing

@Suite("file sink: names that files get when they are whole")
struct SinkRenameTests {
  @Test("with rename a name is there when its file is whole")
  func rename() throws {
    let directory = try TemporaryDirectory()
    var options = FileSinkOptions(path: directory.path)
    options.rotate = 1000
    options.sync = .rename
    var sink = try FileSink(options, maxConnections: 2, recordBound: 100)
    var driver = try SinkDriver()
    var generator = SeededGenerator(seed: 10)
    var stream = sample(slot: 0, serial: 1, bytes: generator.bytes(1500), record: 100)
    driver.open(stream, &sink)
    for _ in 0..<3 { try driver.deliver(500, of: &stream, to: &sink) }
    #expect(directory.names.sorted() == ["connection-1-000001.part", "connection-1-000002.part"])
    driver.drain(&sink)
    #expect(directory.names.sorted() == ["connection-1-000001", "connection-1-000002.part"])
    driver.close(stream, &sink)
    driver.drain(&sink)
    #expect(directory.names.sorted() == ["connection-1-000001", "connection-1-000002"])
    #expect(sink.counters.fsyncs == 2)

    // What came to have the name meanwhile is not replaced, and what was written is kept.
    var again = sample(slot: 0, serial: 2, bytes: generator.bytes(10))
    driver.open(again, &sink)
    try driver.deliver(10, of: &again, to: &sink)
    let name = directory.path + "/connection-2-000001"
    try #require(unsafe symlink("elsewhere", name) == 0)
    driver.close(again, &sink)
    driver.drain(&sink)
    #expect(sink.failures.map(\.step) == [.rename])
    #expect(sink.failures.map(\.errno) == [EEXIST])
    #expect(driver.faults.map(\.found) == [UInt64(EEXIST)])
    #expect(contents(name + ".part") == again.bytes)
  }

  @Test("the file for all gets its name when the sink goes")
  func renameOne() throws {
    let directory = try TemporaryDirectory()
    var options = FileSinkOptions(path: directory.path + "/all")
    options.layout = .one
    options.sync = .rename
    do {
      var sink = try FileSink(options, maxConnections: 2, recordBound: 100)
      var driver = try SinkDriver()
      var stream = sample(slot: 0, serial: 1, bytes: [1, 2, 3])
      driver.open(stream, &sink)
      try driver.deliver(3, of: &stream, to: &sink)
      driver.close(stream, &sink)
      driver.drain(&sink)
      #expect(directory.names == ["all.part"])
    }
    #expect(directory.names == ["all"])
    #expect(contents(options.path) == [1, 2, 3])
  }
}
