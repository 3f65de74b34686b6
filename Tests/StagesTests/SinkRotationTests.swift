import Glibc
import IngestTestSupport
import RingCore
import Stages
import Testing

@Suite("file sink: one file after the other")
struct SinkRotationTests {
  /// The files of a connection, in order.
  private static func files(_ directory: String, _ prefix: String) throws -> [[UInt8]] {
    var files: [[UInt8]] = []
    while true {
      let digits = String(files.count + 1)
      let name = prefix + String(repeating: "0", count: 6 - digits.count) + digits
      guard let bytes = contents(directory + "/" + name) else { return files }
      files.append(bytes)
    }
  }

  /// Sizes of records as they follow each other, taken apart into files: what each one holds.
  private static func expected(_ stream: SampleStream, rotate: Int) -> [Int] {
    var sizes: [Int] = []
    var size = 0
    var start = 0
    for record in stream.records where start < stream.cursor {
      if size >= rotate {
        sizes.append(size)
        size = 0
      }
      size += min(record.count, stream.cursor - start)
      start += record.count
    }
    return sizes + [size]
  }

  @Test("a connection's files hold whole records, and together what was sent")
  func each() throws {
    for resources in SinkFileTests.Resources.allCases {
      withEvery("seed", in: 31...33 as ClosedRange<UInt64>) { seed in
        var generator = SeededGenerator(seed: seed)
        let directory = try TemporaryDirectory()
        var options = FileSinkOptions(path: directory.path)
        options.rotate = [1, 5000, 60_000].randomElement(using: &generator)!
        options.sync = seed == 31 ? .none : seed == 32 ? .close : .rename
        var sink = try FileSink(
          options, maxConnections: 5, recordBound: 20_013, limits: resources.limits)
        var driver = try SinkDriver(entries: 4, withRing: resources != .none)
        let streams = try SinkFileTests.play(
          &driver, &sink, slots: 5, total: 30, resetEvery: 7, &generator)
        #expect(driver.out.isEmpty)
        #expect(sink.failures.isEmpty && driver.faults.isEmpty)
        var total = 0
        for stream in streams {
          let serial = stream.connection.serial
          let files = try Self.files(directory.path, "connection-\(serial)-")
          let sent = Array(stream.bytes[..<stream.cursor])
          #expect(files.flatMap { $0 } == sent, "seed \(seed), \(serial)")
          #expect(files.map(\.count) == Self.expected(stream, rotate: options.rotate))
          total += files.count
        }
        #expect(sink.counters.files == UInt64(total))
        #expect(directory.names.count == total)
        if options.sync == .none { #expect(sink.counters.fsyncs == 0) }
      }
    }
  }

  @Test("files for all hold whole records too")
  func one() throws {
    for resources in SinkFileTests.Resources.allCases {
      var generator = SeededGenerator(seed: 41)
      let directory = try TemporaryDirectory()
      var options = FileSinkOptions(path: directory.path + "/all-%n")
      options.layout = .one
      options.rotate = 50_000
      var sink = try FileSink(
        options, maxConnections: 5, recordBound: 20_013, limits: resources.limits)
      var driver = try SinkDriver(entries: 4, withRing: resources != .none)
      let streams = try SinkFileTests.play(
        &driver, &sink, slots: 5, total: 40, resetEvery: 3, &generator)
      #expect(driver.out.isEmpty && sink.failures.isEmpty)
      let files = try Self.files(directory.path, "all-")
      #expect(files.count > 5)
      for file in files.dropLast() {
        #expect(file.count >= 50_000 && file.count < 50_000 + 20_013)
      }
      var next: [UInt64: (record: Int, offset: Int)] = [:]
      let bySerial = Dictionary(uniqueKeysWithValues: streams.map { ($0.connection.serial, $0) })
      for file in files {
        var offset = 0
        while offset < file.count {
          let stream = try #require(bySerial[UInt64(file[offset])], "offset \(offset)")
          let at = next[stream.connection.serial] ?? (0, 0)
          let count = stream.records[at.record].count
          // No record goes on in the next file.
          try #require(offset + count <= file.count)
          try #require(
            file[offset..<offset + count] == stream.bytes[at.offset..<at.offset + count])
          next[stream.connection.serial] = (at.record + 1, at.offset + count)
          offset += count
        }
      }
      for stream in streams {
        let whole = stream.left == 0 ? stream.records.count : stream.records.count - 1
        #expect(next[stream.connection.serial]?.record ?? 0 == whole)
      }
    }
  }

  @Test("a stream without records goes on in the next file with a lease")
  func raw() throws {
    let directory = try TemporaryDirectory()
    var options = FileSinkOptions(path: directory.path + "/%c.%n")
    options.rotate = 25_000
    var sink = try FileSink(options, maxConnections: 1, recordBound: nil)
    var driver = try SinkDriver()
    var generator = SeededGenerator(seed: 7)
    let bytes = generator.bytes(100_000)
    // One record without an end: no piece is a last one.
    var stream = sample(slot: 0, serial: 1, bytes: bytes)
    stream.openEnd = true
    driver.open(stream, &sink)
    while stream.left > 0 { try driver.deliver(10_000, of: &stream, to: &sink) }
    driver.close(stream, &sink)
    driver.drain(&sink)
    let files = try Self.files(directory.path, "1.")
    #expect(files.map(\.count) == [30_000, 30_000, 30_000, 10_000])
    #expect(files.flatMap { $0 } == bytes)
  }

  @Test("a file that is old enough ends, an empty one does not")
  func every() throws {
    let directory = try TemporaryDirectory()
    var options = FileSinkOptions(path: directory.path)
    options.rotateEvery = 1_000_000_000
    var sink = try FileSink(options, maxConnections: 1, recordBound: 100)
    var driver = try SinkDriver()
    var generator = SeededGenerator(seed: 8)
    let bytes = generator.bytes(1000)
    var stream = sample(slot: 0, serial: 1, bytes: bytes, record: 100)
    driver.open(stream, &sink)
    // 2.5 records at each of these times, in milliseconds.
    for time in [5000, 5900, 6001, 8000] {
      driver.batch.now = UInt64(time) * 1_000_000
      try driver.deliver(250, of: &stream, to: &sink)
      driver.endBatch(&sink)
    }
    driver.close(stream, &sink)
    driver.drain(&sink)
    let files = try Self.files(directory.path, "connection-1-")
    // The record under way at 6001 and 8000 stays where it began.
    #expect(files.map(\.count) == [500, 300, 200])
    #expect(files.flatMap { $0 } == bytes)
  }

  @Test("a next file that is there already is kept, and the connection refused")
  func existing() throws {
    for layout in FileSinkOptions.Layout.allCases {
      let directory = try TemporaryDirectory()
      let path = directory.path + (layout == .each ? "/%c-%n" : "/1-%n")
      let second = directory.path + "/1-000002"
      let descriptor = unsafe open(second, O_WRONLY | O_CREAT, 0o644)
      _ = unsafe write(descriptor, "precious", 8)
      Glibc.close(descriptor)
      var options = FileSinkOptions(path: path)
      options.layout = layout
      options.rotate = 1000
      var sink = try FileSink(options, maxConnections: 2, recordBound: 100)
      var driver = try SinkDriver()
      var generator = SeededGenerator(seed: 9)
      var stream = sample(slot: 0, serial: 1, bytes: generator.bytes(2000), record: 100)
      driver.open(stream, &sink)
      while stream.left > 0 { try driver.deliver(130, of: &stream, to: &sink) }
      driver.drain(&sink)
      #expect(driver.refusals == [0])
      #expect(driver.faults.map(\.found) == [UInt64(EEXIST)])
      driver.close(stream, &sink, .refused)
      driver.drain(&sink)
      #expect(sink.failures.map(\.target) == [second])
      #expect(sink.failures.map(\.step) == [.open])
      #expect(contents(second) == Array("precious".utf8))
      let first = try #require(contents(directory.path + "/1-000001"))
      #expect(first == Array(stream.bytes[..<1000]))
    }
  }

  @Test(
    "on a full disk the files before are whole and the last one as long as is told",
    .enabled(if: SmallDisk.isAvailable, "mounting a small disk needs root"),
    arguments: FileSinkOptions.Layout.allCases)
  func full(_ layout: FileSinkOptions.Layout) throws {
    for withRing in [true, false] {
      let disk = try SmallDisk()
      var options = FileSinkOptions(path: disk.path + (layout == .each ? "/%c-%n" : "/1-%n"))
      options.layout = layout
      options.rotate = 100_000
      var sink = try FileSink(options, maxConnections: 2, recordBound: 1000)
      var driver = try SinkDriver(withRing: withRing)
      var generator = SeededGenerator(seed: 51)
      var stream = sample(slot: 0, serial: 1, bytes: generator.bytes(3_000_000), record: 1000)
      driver.open(stream, &sink)
      while stream.left > 0, driver.refusals.isEmpty {
        try driver.deliver(16_000, of: &stream, to: &sink)
        driver.endBatch(&sink)
        driver.reap(&sink)
      }
      driver.drain(&sink)
      #expect(driver.refusals == [0])
      driver.close(stream, &sink, .refused)
      driver.drain(&sink)
      #expect(driver.out.isEmpty)
      let failures = sink.failures
      #expect(!failures.isEmpty && failures.allSatisfy { $0.errno == ENOSPC })
      // Up to the first file that failed, what is there is the start of the stream.
      let files = try Self.files(disk.path, "1-")
      let failed = failures.map(\.target).min() ?? ""
      let index = try #require(Int(failed.suffix(6)))
      #expect(files.count >= index && index > 5)
      let safe = try #require(failures.first { $0.target == failed }).safeBytes
      #expect(UInt64(files[index - 1].count) == safe)
      let whole = files[..<index].flatMap { $0 }
      #expect(whole == Array(stream.bytes[..<whole.count]))
      for file in files[..<(index - 1)] { #expect(file.count == 100_000) }
    }
  }

  @Test("names that rotation needs, and times that are none")
  func refuses() throws {
    let directory = try TemporaryDirectory()
    for layout in FileSinkOptions.Layout.allCases {
      var options = FileSinkOptions(path: directory.path + (layout == .each ? "/%c" : "/all"))
      options.layout = layout
      options.rotate = 1
      do throws(SinkError) {
        let sink = try FileSink(options, maxConnections: 1, recordBound: 10)
        Issue.record("started: \(sink.pending)")
      } catch {
        #expect(error.kind == .usage && error.remedy?.contains("%n") == true)
      }
    }
    let spelled = "file:/a/%n,rotate=1G,rotate-every=10m,sync=rename"
    guard case .file(let file) = try SinkSpecification(spelled) else { return }
    #expect(file.rotate == 1 << 30 && file.rotateEvery == 600_000_000_000 && file.sync == .rename)
    let canonical = try SinkSpecification(spelled).description
    #expect(try SinkSpecification(canonical) == .file(file))
    #expect(canonical.hasSuffix("rotate=1G,rotate-every=10m"))
    for time in ["10", "m", "-1s", "0s", "1d", "99999999999999h", ""] {
      #expect(throws: SpecificationError.self) {
        try SinkSpecification("file:/a/%n,rotate-every=\(time)")
      }
    }
    for time in ["1ms", "1500ms", "90s", "60s", "24h"] {
      guard case .file(let file) = try SinkSpecification("file:/a/%n,rotate-every=\(time)"),
        case .file(let again) = try SinkSpecification(SinkSpecification.file(file).description)
      else { continue }
      #expect(again.rotateEvery == file.rotateEvery)
    }
  }
}
