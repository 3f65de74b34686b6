import CIngestKernel
import Dispatch
import Glibc
import IngestTestSupport
import RingCore
import Stages
import Synchronization
import Testing

@Suite("unix sink")
struct SinkUnixTests {
  @Test("what arrives goes to whoever listens, in order, and then the end", arguments: [0, 3013])
  func identity(bound: Int) throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/reader"
    let listener = unsafe path.withCString {
      unsafe ik_unix_listen($0, Int32(SOCK_STREAM.rawValue))
    }
    try #require(listener >= 0)
    defer { close(listener) }
    let received = Mutex<[UInt8]>([])
    let done = DispatchSemaphore(value: 0)
    var driver = try SinkDriver(withRing: false)
    var generator = SeededGenerator(seed: 41)
    var stream = recordStream(slot: 0, serial: 1, records: 300, upTo: 3000, &generator)
    do {
      var sink = try StdoutSink(
        UnixSinkOptions(path: path), maxConnections: 1, recordBound: bound == 0 ? nil : bound)
      var process: Int32 = 0
      let reader = unsafe ik_unix_accept(listener, &process)
      try #require(reader >= 0)
      #expect(process == getpid())
      _ = fcntl(reader, F_SETFL, 0)
      Thread.run {
        let bytes = readToEnd(reader)
        received.withLock { $0 = bytes }
        close(reader)
        done.signal()
      }
      driver.open(stream, &sink)
      while stream.left > 0 {
        try driver.deliver(generator.logUniform(upTo: 16384), of: &stream, to: &sink)
      }
      driver.close(stream, &sink)
      driver.drain(&sink)
      #expect(sink.counters.bytes == UInt64(stream.bytes.count))
      #expect(sink.failures.isEmpty)
    }
    done.wait()
    #expect(received.withLock { $0 } == stream.bytes)
    #expect(driver.out.isEmpty)
  }

  @Test("where nobody listens the sink does not start, and says what to do")
  func nobody() throws {
    let directory = try TemporaryDirectory()
    let error = #expect(throws: SinkError.self) {
      _ = try StdoutSink(
        UnixSinkOptions(path: directory.path + "/none"), maxConnections: 1, recordBound: nil)
    }
    #expect(error?.what.contains("could not connect to \(directory.path)/none") == true)
    #expect(error?.remedy?.contains("socat") == true)
  }
}
