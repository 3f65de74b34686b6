import CIngestKernel
import Glibc
import IngestTestSupport
import RingCore
import Stages
import Testing

@Suite("file sink: what it refuses")
struct SinkOptionsTests {
  /// The error of a sink that must not start.
  private func refusal(
    _ path: String, maxConnections: Int = 4, recordBound: Int? = 1000, thread: Int? = nil,
    _ change: (inout FileSinkOptions) -> Void = { _ in }
  ) -> SinkError? {
    var options = FileSinkOptions(path: path)
    change(&options)
    do throws(SinkError) {
      let sink = try FileSink(
        options, maxConnections: maxConnections, recordBound: recordBound, thread: thread)
      _ = sink.pending
      return nil
    } catch {
      return error
    }
  }

  @Test("a directory that is missing, with the command that makes it")
  func missing() throws {
    let directory = try TemporaryDirectory()
    for path in ["no", "no/%c", "no/all"] {
      let error = refusal(directory.path + "/" + path) { if path == "no/all" { $0.layout = .one } }
      #expect(error?.kind == .failed)
      #expect(error?.description.contains("mkdir -p \(directory.path)/no") == true)
    }
  }

  @Test("files that are there, unless they may be overwritten")
  func existing() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/connection-1"
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT, 0o644)
    _ = unsafe write(descriptor, "precious", 8)
    Glibc.close(descriptor)
    let stream = SampleStream(
      slot: 0, serial: 1, bytes: Array("new".utf8), records: [SampleRecord(payload: 3)])
    for overwrite in [false, true] {
      var options = FileSinkOptions(path: directory.path)
      options.overwrite = overwrite
      var sink = try FileSink(options, maxConnections: 1, recordBound: nil)
      var driver = try SinkDriver()
      var stream = stream
      driver.open(stream, &sink)
      if overwrite {
        try driver.deliver(3, of: &stream, to: &sink)
      } else {
        #expect(driver.refusals == [0])
      }
      driver.close(stream, &sink)
      driver.drain(&sink)
      if overwrite {
        #expect(contents(path) == Array("new".utf8))
      } else {
        #expect(driver.faults.map(\.found) == [UInt64(EEXIST)])
        #expect(sink.failures.map(\.target) == [path])
        #expect(sink.failures.first?.remedy?.contains("overwrite=yes") == true)
        #expect(contents(path) == Array("precious".utf8))
      }
    }
    let error = refusal(path) { $0.layout = .one }
    #expect(error?.description.contains("overwrite=yes") == true)
  }

  @Test("pipes and terminals, without blocking on them")
  func special() throws {
    let directory = try TemporaryDirectory()
    let fifo = directory.path + "/fifo"
    try #require(unsafe mkfifo(fifo, 0o600) == 0)
    // A log that these tests write to is a file like any other, and would be one to write to.
    var status = stat()
    let isLogged = unsafe fstat(STDOUT_FILENO, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    for path in [fifo, "/dev/null"] + (isLogged ? [] : ["/dev/stdout"]) {
      for layout in FileSinkOptions.Layout.allCases {
        for overwrite in [false, true] {
          let error = refusal(path) {
            $0.layout = layout
            $0.overwrite = overwrite
          }
          #expect(error?.description.contains("--sink stdout") == true, "\(path), \(layout)")
        }
      }
    }
  }

  @Test("templates that mean nothing or name one file twice")
  func templates() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path
    #expect(refusal(path + "/%x")?.what.contains("%x") == true)
    #expect(refusal(path + "/%")?.remedy?.contains("%%") == true)
    #expect(refusal("")?.kind == .usage)
    #expect(refusal(path + "/%c", thread: 1)?.remedy?.contains("%t") == true)
    #expect(refusal(path + "/%c") { $0.layout = .one }?.kind == .usage)
    #expect(refusal(path + "/all", thread: 0) { $0.layout = .one }?.kind == .usage)
    #expect(refusal(path + "/%t", thread: 0) { $0.layout = .one } == nil)
    #expect(refusal(path, thread: 3) == nil)
  }

  @Test("more memory for records that span leases than was allowed")
  func carry() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/all"
    let error = refusal(path, maxConnections: 1000, recordBound: 16 << 20) { $0.layout = .one }
    #expect(error?.kind == .usage)
    #expect(error?.remedy?.contains("carry=") == true)
    #expect(refusal(path, recordBound: .max) { $0.layout = .one }?.kind == .usage)
    #expect(refusal(path, recordBound: nil) { $0.layout = .one }?.remedy?.contains("each") == true)
    // A refused start leaves no file.
    #expect(contents(path) == nil)
    #expect(
      refusal(path, maxConnections: 7, recordBound: 4096) {
        $0.layout = .one
        $0.carry = 8 * 4096
      } == nil)
  }

  @Test("names hold the connection, the peer and the thread")
  func names() throws {
    let directory = try TemporaryDirectory()
    var sink = try FileSink(
      FileSinkOptions(path: directory.path + "/a-%a-%p-%c-%t-100%%"), maxConnections: 4,
      recordBound: nil, thread: 2)
    var driver = try SinkDriver()
    var raw = ik_endpoint()
    raw.family = UInt16(AF_INET6)
    raw.address.15 = 1
    raw.port = 7
    let six = Connection(slot: 1, serial: 9, peer: Endpoint(raw: raw))
    let four = SampleStream(slot: 0, serial: 5, bytes: [], records: [])
    raw.address.15 = 2
    (raw.address.10, raw.address.11, raw.address.12) = (0xff, 0xff, 10)
    let mapped = Connection(slot: 2, serial: 3, peer: Endpoint(raw: raw))
    driver.open(four, &sink)
    sink.opened(six, in: &driver.batch)
    sink.opened(mapped, in: &driver.batch)
    driver.close(four, &sink)
    sink.closed(six, .finished, in: &driver.batch)
    sink.closed(mapped, .finished, in: &driver.batch)
    driver.drain(&sink)
    #expect(
      directory.names.sorted() == [
        "a-10.0.0.2-7-3-2-100%", "a-127.0.0.1-40005-5-2-100%", "a-::1-7-9-2-100%",
      ])
    #expect(driver.faults.isEmpty)
  }
}
