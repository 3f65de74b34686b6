import Glibc
import IngestTestSupport
import RingCore
import Stages
import Testing
import ZeroCopy

/// A file system of 1 MiB in memory, which fills up soon. It is unmounted at
/// once and lives on behind a descriptor, so that nothing stays mounted, not even after a crash.
@safe
final class SmallDisk {
  private let descriptor: Int32
  let path: String
  static let size = 1 << 20

  /// Whether this process may mount at all.
  static let isAvailable = (try? SmallDisk()) != nil

  init() throws {
    let directory = try TemporaryDirectory()
    try #require(
      unsafe mount("ingest-test", directory.path, "tmpfs", 0, "size=1m") == 0,
      "mounting a small tmpfs failed with errno \(errno)")
    descriptor = unsafe open(directory.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    path = "/proc/self/fd/\(descriptor)"
    let detached = unsafe umount2(directory.path, Int32(MNT_DETACH))
    try #require(descriptor >= 0 && detached == 0)
  }

  deinit { close(descriptor) }
}

@Suite("file sink on a full disk")
struct SinkFailureTests {
  @Test(
    "only the connection whose file is full is refused, and what is safe is named",
    .enabled(if: SmallDisk.isAvailable, "mounting a small disk needs root"))
  func each() throws {
    let disk = try SmallDisk()
    for withRing in [true, false] {
      let path = disk.path + (withRing ? "/ring" : "/none")
      unsafe mkdir(path, 0o700)
      var sink = try FileSink(FileSinkOptions(path: path), maxConnections: 3, recordBound: nil)
      var driver = try SinkDriver(withRing: withRing)
      var generator = SeededGenerator(seed: 21)
      var small = sample(slot: 0, serial: 1, bytes: generator.bytes(60_000))
      var large = sample(slot: 1, serial: 2, bytes: generator.bytes(3 << 20))
      driver.open(small, &sink)
      driver.open(large, &sink)
      try driver.deliver(10_000, of: &small, to: &sink)
      driver.endBatch(&sink)
      while large.left > 0, driver.refusals.isEmpty {
        try driver.deliver(16_384, of: &large, to: &sink)
        driver.endBatch(&sink)
        driver.reap(&sink)
      }
      driver.drain(&sink)
      #expect(driver.refusals == [1])
      let fault = try #require(driver.faults.first)
      #expect(driver.faults.count == 1)
      #expect(fault.kind == .sink && fault.connection == 2 && fault.found == UInt64(ENOSPC))
      driver.close(large, &sink, .refused)
      driver.drain(&sink)
      #expect(driver.faults.count == 1)

      let failures = sink.failures
      let failure = try #require(failures.first)
      #expect(failures.count == 1)
      #expect(failure.errno == ENOSPC && failure.step == .write)
      #expect(failure.target == path + "/connection-2")
      #expect(failure.safeBytes == fault.offset)
      #expect(failure.safeBytes > 500_000)
      let text = "\(failure)"
      #expect(text.hasSuffix("the first \(failure.safeBytes) bytes are safe"))
      let written = try #require(contents(failure.target))
      #expect(written == Array(large.bytes[..<Int(failure.safeBytes)]))

      // With room again the other connection goes on as if nothing had happened.
      unsafe unlink(failure.target)
      while small.left > 0 { try driver.deliver(10_000, of: &small, to: &sink) }
      driver.close(small, &sink)
      driver.drain(&sink)
      #expect(contents(path + "/connection-1") == small.bytes)
      #expect(driver.out.isEmpty)
      driver.expectAccounted(sink.counters)
      #expect(driver.refusals == [1])
      unsafe unlink(path + "/connection-1")
    }
  }

  @Test(
    "a file for all that is full refuses every connection, later ones too",
    .enabled(if: SmallDisk.isAvailable, "mounting a small disk needs root"))
  func one() throws {
    let disk = try SmallDisk()
    var options = FileSinkOptions(path: disk.path + "/all")
    options.layout = .one
    var sink = try FileSink(options, maxConnections: 4, recordBound: 1000)
    var driver = try SinkDriver()
    var generator = SeededGenerator(seed: 22)
    var streams = (0..<3).map { index in
      sample(
        slot: UInt32(index), serial: UInt64(index + 1), bytes: generator.bytes(1_000_000),
        record: 1000)
    }
    for stream in streams { driver.open(stream, &sink) }
    var sent: [UInt8] = []
    while driver.refusals.isEmpty, streams[0].left > 0 {
      for index in streams.indices {
        sent += streams[index].bytes[streams[index].cursor..<(streams[index].cursor + 10_000)]
        try driver.deliver(10_000, of: &streams[index], to: &sink)
      }
      driver.endBatch(&sink)
      driver.reap(&sink)
    }
    driver.drain(&sink)
    #expect(driver.refusals.sorted() == [0, 1, 2])
    #expect(driver.faults.map(\.connection).sorted() == [1, 2, 3])
    for stream in streams { driver.close(stream, &sink, .refused) }
    driver.expectAccounted(sink.counters)
    #expect(sink.counters.lostBytes > 0)
    let late = sample(slot: 3, serial: 4, bytes: [1])
    driver.open(late, &sink)
    #expect(driver.refusals.contains(3))
    driver.close(late, &sink, .refused)
    driver.drain(&sink)
    #expect(driver.faults.count == 4)
    #expect(driver.out.isEmpty)
    let failures = sink.failures
    #expect(failures.count == 1)
    let safe = Int(try #require(failures.first).safeBytes)
    #expect(safe > 500_000 && safe <= SmallDisk.size)
    #expect(try #require(contents(options.path)) == Array(sent[..<safe]))
  }

  @Test(
    "a connection that ended before its write failed is reported when it is known",
    .enabled(if: SmallDisk.isAvailable, "mounting a small disk needs root"))
  func afterClose() throws {
    let disk = try SmallDisk()
    let path = disk.path
    var sink = try FileSink(FileSinkOptions(path: path), maxConnections: 1, recordBound: nil)
    var driver = try SinkDriver(bufferSize: 65536, buffers: 64)
    var generator = SeededGenerator(seed: 23)
    var stream = sample(slot: 0, serial: 7, bytes: generator.bytes(3 << 20))
    driver.open(stream, &sink)
    while stream.left > 0 { try driver.deliver(65536, of: &stream, to: &sink) }
    driver.close(stream, &sink)
    driver.drain(&sink)
    #expect(driver.refusals.isEmpty)
    #expect(driver.faults.map(\.connection) == [7])
    #expect(driver.out.isEmpty)
    let failures = sink.failures
    let failure = try #require(failures.first)
    #expect(failure.safeBytes == driver.faults.first?.offset)
    #expect(contents(failure.target) == Array(stream.bytes[..<Int(failure.safeBytes)]))
  }

  @Test("a file at its size limit is one connection's failure, not the process's end")
  func sizeLimit() async {
    // A process of its own: the limit counts for all files of a process.
    await #expect(processExitsWith: .success) {
      var limit = rlimit(rlim_cur: 100_000, rlim_max: 100_000)
      try #require(unsafe setrlimit(__rlimit_resource_t(1), &limit) == 0)  // RLIMIT_FSIZE
      let directory = try TemporaryDirectory()
      var sink = try FileSink(
        FileSinkOptions(path: directory.path), maxConnections: 1, recordBound: nil)
      var driver = try SinkDriver()
      var stream = SampleStream(
        slot: 0, serial: 1, bytes: [UInt8](repeating: 7, count: 200_000),
        records: [SampleRecord(payload: 200_000)])
      driver.open(stream, &sink)
      while stream.left > 0 { try driver.deliver(16_384, of: &stream, to: &sink) }
      driver.close(stream, &sink)
      driver.drain(&sink)
      let failures = sink.failures
      try #require(failures.map(\.errno) == [EFBIG])
      try #require(failures.map(\.safeBytes) == [100_000])
      try #require(driver.out.isEmpty)
    }
  }
}

@Suite("file sink: what the kernel may answer")
struct SinkAnswerTests {
  /// Plays one stream of 32 writes; a batch of them is in the kernel at a time.
  private func play(
    _ driver: inout SinkDriver, _ sink: inout FileSink
  ) throws -> SampleStream {
    var generator = SeededGenerator(seed: 24)
    var stream = sample(slot: 0, serial: 1, bytes: generator.bytes(32 * 16_384))
    driver.open(stream, &sink)
    while stream.left > 0 {
      for _ in 0..<8 {
        try driver.deliver(16_384, of: &stream, to: &sink)
        driver.endBatch(&sink)
      }
      driver.reap(&sink, .one)
      driver.endBatch(&sink)
    }
    driver.close(stream, &sink)
    driver.drain(&sink)
    #expect(driver.out.isEmpty)
    return stream
  }

  @Test("short, interrupted and deferred writes go on", arguments: [1, 1000, -EINTR, -EAGAIN])
  func retried(answer: Int32) throws {
    let directory = try TemporaryDirectory()
    var sink = try FileSink(
      FileSinkOptions(path: directory.path), maxConnections: 1, recordBound: nil)
    var driver = try SinkDriver()
    for completion in [1, 2, 3, 10, 20] { driver.answers[completion] = answer }
    let stream = try play(&driver, &sink)
    #expect(contents(directory.path + "/connection-1") == stream.bytes)
    #expect(sink.failures.isEmpty)
    #expect(driver.completions == 32 + 5 + 1)
  }

  @Test("a gap ends the file: what lies behind it is cut off", arguments: [-EIO, 0])
  func gap(answer: Int32) throws {
    let directory = try TemporaryDirectory()
    var sink = try FileSink(
      FileSinkOptions(path: directory.path), maxConnections: 1, recordBound: nil)
    var driver = try SinkDriver()
    driver.answers[10] = answer
    let stream = try play(&driver, &sink)
    let failures = sink.failures
    let failure = try #require(failures.first)
    #expect(failures.count == 1)
    #expect(failure.errno == EIO && failure.step == .write)
    let safe = Int(failure.safeBytes)
    #expect(safe % 16_384 == 0 && safe < stream.bytes.count)
    #expect(contents(failure.target) == Array(stream.bytes[..<safe]))
    #expect(driver.faults.map(\.offset) == [UInt64(safe)])
  }

  @Test("an fsync that fails makes nothing safe")
  func sync() throws {
    let directory = try TemporaryDirectory()
    var sink = try FileSink(
      FileSinkOptions(path: directory.path), maxConnections: 1, recordBound: nil)
    var driver = try SinkDriver()
    driver.answers[33] = -EIO
    _ = try play(&driver, &sink)
    let failures = sink.failures
    #expect(failures.map(\.step) == [.sync])
    #expect(failures.map(\.safeBytes) == [0])
    #expect(driver.faults.map(\.found) == [UInt64(EIO)])
  }
}
