import Glibc
import IngestTestSupport
import RingCore
import Stages
import Testing
import ZeroCopy

@Suite("file sink: direct writes")
struct SinkDirectTests {
  private static func options(_ path: String, block: Int = 8192) -> FileSinkOptions {
    var options = FileSinkOptions(path: path)
    options.direct = true
    options.block = block
    return options
  }

  /// The open(2) flags of a file that this process has open, from /proc/self/fdinfo.
  private static func flags(of path: String) -> Int? {
    for descriptor in 3..<1024 {
      var target = [CChar](repeating: 0, count: 4096)
      let count = unsafe readlink("/proc/self/fd/\(descriptor)", &target, target.count)
      guard count > 0, String(decoding: target[..<count].map(UInt8.init), as: UTF8.self) == path
      else { continue }
      let text = String(decoding: contents("/proc/self/fdinfo/\(descriptor)") ?? [], as: UTF8.self)
      let line = text.split(separator: "\n").first { $0.hasPrefix("flags:") }
      return line.flatMap { Int($0.split(separator: "\t").last ?? "", radix: 8) }
    }
    return nil
  }
  /// O_DIRECT on x86-64 and most others.
  private static let direct = 0o40000

  @Test(
    "each connection's file holds what was sent, all of it copied once",
    arguments: SinkBytes.allCases)
  func each(bytes: SinkBytes) throws {
    for resources in SinkFileTests.Resources.allCases {
      withEvery("seed", in: 61...63 as ClosedRange<UInt64>) { seed in
        var generator = SeededGenerator(seed: seed)
        let directory = try TemporaryDirectory()
        var options = Self.options(directory.path, block: seed == 61 ? 4096 : 65536)
        options.bytes = bytes
        var sink = try FileSink(
          options, maxConnections: 5, recordBound: 20_013, limits: resources.limits)
        let reads = sink.readsPayload
        #expect(reads)
        var driver = try SinkDriver(entries: 4, withRing: resources != .none)
        let streams = try SinkFileTests.play(
          &driver, &sink, slots: 5, total: 30, resetEvery: 7, &generator)
        var total = 0
        for stream in streams {
          let sent = bytes == .all ? Array(stream.bytes[..<stream.cursor]) : stream.payload
          let path = "\(directory.path)/connection-\(stream.connection.serial)"
          #expect(contents(path) == sent, "seed \(seed), \(resources), \(path)")
          total += sent.count
        }
        #expect(driver.out.isEmpty && driver.faults.isEmpty && sink.failures.isEmpty)
        let counters = sink.counters
        #expect(counters.bytes == UInt64(total) && counters.copiedBytes == UInt64(total))
        #expect(counters.indirectFiles == 0)
      }
    }
  }

  @Test(
    "one file for all goes on after each connection's end", arguments: FileSinkOptions.Sync.allCases
  )
  func one(sync: FileSinkOptions.Sync) throws {
    for resources in SinkFileTests.Resources.allCases {
      for rotate in [0, 70_000] {
        var generator = SeededGenerator(seed: 71)
        let directory = try TemporaryDirectory()
        var options = Self.options(directory.path + "/%n")
        options.layout = .one
        options.sync = sync
        options.rotate = rotate
        var total = 0
        do {
          var sink = try FileSink(
            options, maxConnections: 5, recordBound: 20_013, limits: resources.limits)
          var driver = try SinkDriver(entries: 4, withRing: resources != .none)
          let streams = try SinkFileTests.play(
            &driver, &sink, slots: 5, total: 24, resetEvery: 1000, &generator)
          total = streams.reduce(0) { $0 + $1.bytes.count }
          let failures = sink.failures
          #expect(driver.out.isEmpty && driver.faults.isEmpty)
          #expect(sink.counters.indirectFiles == 0)
          try #require(failures == [], "\(sync), \(resources), rotate \(rotate)")
          #expect(sink.counters.bytes == UInt64(total))
          // All of it is in the files while the sink is still there.
          var left = Dictionary(
            uniqueKeysWithValues: streams.map { ($0.connection.serial, $0.bytes[...]) })
          let names = directory.names.sorted()
          for name in names {
            let bytes = try #require(contents(directory.path + "/" + name))
            if rotate > 0, name != names.last { #expect(bytes.count >= rotate) }
            var offset = 0
            while offset + 12 < bytes.count {
              let serial = UInt64(bytes[offset])
              let size = bytes[(offset + 8)..<(offset + 12)].reversed().reduce(0) {
                $0 << 8 | Int($1)
              }
              let record = bytes[offset..<(offset + 13 + size)]
              try #require(left[serial]?.starts(with: record) == true, "\(name), byte \(offset)")
              left[serial]?.removeFirst(record.count)
              offset += record.count
            }
          }
          #expect(left.values.allSatisfy { $0.isEmpty })
          #expect((names.count > 5) == (rotate > 0))
        }
        #expect(directory.names.allSatisfy { !$0.hasSuffix(".part") })
      }
    }
  }

  @Test("the page cache is passed by, but for the last page")
  func flags() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/connection-1"
    for direct in [true, false] {
      var options = Self.options(directory.path)
      options.direct = direct
      options.overwrite = true
      var sink = try FileSink(options, maxConnections: 1, recordBound: nil)
      var driver = try SinkDriver()
      var generator = SeededGenerator(seed: 5)
      var stream = sample(slot: 0, serial: 1, bytes: generator.bytes(20_000))
      driver.open(stream, &sink)
      let flags = try #require(Self.flags(of: path))
      #expect(flags & Self.direct == (direct ? Self.direct : 0))
      while stream.left > 0 { try driver.deliver(3000, of: &stream, to: &sink) }
      if direct { #expect(driver.out.isEmpty, "a copied lease is not held") }
      driver.close(stream, &sink)
      driver.drain(&sink)
      #expect(contents(path) == stream.bytes)
      // Two blocks and a page less one in whole pages, and the rest.
      if direct { #expect(sink.counters.writes == 3 && sink.counters.syncWrites == 1) }
    }
  }

  @Test("answers that direct writes may get", arguments: [4096, 1000, 1, -EINVAL, -EINTR, -EAGAIN])
  func answers(answer: Int32) throws {
    let directory = try TemporaryDirectory()
    var sink = try FileSink(
      Self.options(directory.path), maxConnections: 1, recordBound: nil)
    var driver = try SinkDriver()
    for completion in answer == -EINVAL ? [1, 2] : [1, 2, 5] { driver.answers[completion] = answer }
    var generator = SeededGenerator(seed: 6)
    var stream = sample(slot: 0, serial: 1, bytes: generator.bytes(100_000))
    driver.open(stream, &sink)
    while stream.left > 0 {
      try driver.deliver(16_384, of: &stream, to: &sink)
      driver.endBatch(&sink)
      driver.reap(&sink)
    }
    driver.close(stream, &sink)
    driver.drain(&sink)
    #expect(contents(directory.path + "/connection-1") == stream.bytes)
    #expect(sink.failures.isEmpty && driver.faults.isEmpty)
    #expect(sink.counters.bytes == 100_000)
    let leaves = answer == -EINVAL || answer == 1 || answer == 1000
    #expect((sink.counters.indirectFiles > 0) == leaves)
  }

  @Test(
    "a full disk ends the file where its blocks are whole",
    .enabled(if: SmallDisk.isAvailable, "mounting a small disk needs root"),
    arguments: FileSinkOptions.Layout.allCases)
  func full(layout: FileSinkOptions.Layout) throws {
    for (withRing, rotate) in [(true, 0), (false, 0), (true, 200_000), (false, 200_000)] {
      let disk = try SmallDisk()
      var options = Self.options(
        disk.path + (layout == .each ? "/%c-%n" : "/1-%n"), block: 16384)
      options.layout = layout
      options.rotate = rotate
      var sink = try FileSink(options, maxConnections: 2, recordBound: 1000)
      var driver = try SinkDriver(withRing: withRing)
      var generator = SeededGenerator(seed: 81)
      var stream = sample(slot: 0, serial: 1, bytes: generator.bytes(3_000_000), record: 1000)
      driver.open(stream, &sink)
      while stream.left > 0, driver.refusals.isEmpty {
        try driver.deliver(16_000, of: &stream, to: &sink)
        driver.endBatch(&sink)
        // The workers of the ring must not fall behind: what is written here fills the disk too.
        driver.reap(&sink, sink.pending > 0 ? .one : .none)
      }
      driver.drain(&sink)
      #expect(driver.refusals == [0])
      driver.close(stream, &sink, .refused)
      driver.drain(&sink)
      #expect(driver.out.isEmpty)
      #expect(driver.faults.map(\.found) == [UInt64(ENOSPC)])
      let failures = sink.failures
      let failed = try #require(failures.map(\.target).min())
      var whole: [UInt8] = []
      for number in 1...99 {
        let name = "\(number)"
        let path = disk.path + "/1-" + String(repeating: "0", count: 6 - name.count) + name
        let bytes = try #require(contents(path))
        whole += bytes
        guard path == failed else { continue }
        let safe = failures.first { $0.target == failed }?.safeBytes
        #expect(safe == UInt64(bytes.count))
        break
      }
      #expect(whole.count > 500_000, "ring \(withRing), \(rotate): \(failures)")
      #expect(whole == Array(stream.bytes[..<whole.count]))
    }
  }

  @Test("a file that ends for the failure of the one before has no bytes that were not written")
  func successor() throws {
    let directory = try TemporaryDirectory()
    var options = Self.options(directory.path, block: 65536)
    options.rotate = 100_000
    var sink = try FileSink(options, maxConnections: 1, recordBound: 1000)
    var driver = try SinkDriver()
    driver.answers[1] = -EIO
    var generator = SeededGenerator(seed: 8)
    var stream = sample(slot: 0, serial: 1, bytes: generator.bytes(120_000), record: 1000)
    driver.open(stream, &sink)
    // The last 20,000 bytes wait in the second file's block.
    while stream.left > 0 { try driver.deliver(12_000, of: &stream, to: &sink) }
    driver.drain(&sink)
    #expect(driver.refusals == [0])
    #expect(driver.faults.map(\.found) == [UInt64(EIO)])
    driver.close(stream, &sink, .refused)
    driver.drain(&sink)
    #expect(driver.faults.count == 1)
    let names = ["connection-1-000001", "connection-1-000002"]
    let failures = sink.failures
    #expect(failures.map(\.target) == names.map { directory.path + "/" + $0 })
    let first = try #require(contents(directory.path + "/" + names[0]))
    #expect(UInt64(first.count) == failures.first?.safeBytes && first.count < 100_000)
    #expect(first == Array(stream.bytes[..<first.count]))
    #expect(contents(directory.path + "/" + names[1]) == [])
  }

  @Test(
    "a file system without direct writes is told, and written all the same",
    .enabled(if: SmallDisk.isAvailable, "mounting a file system needs root"))
  func refused() throws {
    let directory = try TemporaryDirectory()
    #expect(FileSink.remark(Self.options(directory.path)) == nil)
    #expect(FileSink.remark(Self.options(directory.path + "/%c")) == nil)
    // Memory without a device, and without direct writes.
    try #require(unsafe mount("ingest-test", directory.path, "ramfs", 0, nil) == 0)
    let inside = unsafe open(directory.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    try #require(unsafe umount2(directory.path, Int32(MNT_DETACH)) == 0 && inside >= 0)
    defer { close(inside) }
    let path = "/proc/self/fd/\(inside)"
    for options in [Self.options(path), Self.options(path + "/%c")] {
      #expect(FileSink.remark(options)?.contains("refuses O_DIRECT") == true)
    }
    var off = Self.options(path)
    off.direct = false
    #expect(FileSink.remark(off) == nil)
    var sink = try FileSink(Self.options(path), maxConnections: 1, recordBound: nil)
    var driver = try SinkDriver()
    var generator = SeededGenerator(seed: 7)
    var stream = sample(slot: 0, serial: 1, bytes: generator.bytes(50_000))
    driver.open(stream, &sink)
    while stream.left > 0 { try driver.deliver(9000, of: &stream, to: &sink) }
    driver.close(stream, &sink)
    driver.drain(&sink)
    #expect(contents(path + "/connection-1") == stream.bytes)
    #expect(sink.counters.indirectFiles == 1)
    #expect(sink.failures.isEmpty)
  }

  @Test("blocks that would need more memory than was allowed, and sizes that are none")
  func refuses() throws {
    let directory = try TemporaryDirectory()
    var options = Self.options(directory.path, block: 1 << 20)
    options.carry = 8 << 20
    do throws(SinkError) {
      let sink = try FileSink(options, maxConnections: 8, recordBound: nil)
      Issue.record("started: \(sink.pending)")
    } catch {
      #expect(error.kind == .usage && error.remedy?.contains("block=SIZE") == true)
    }
    _ = try FileSink(options, maxConnections: 7, recordBound: nil).pending
    let spelled = "file:/a,direct,block=64K"
    guard case .file(let file) = try SinkSpecification(spelled) else { return }
    #expect(file.direct && file.block == 65536)
    #expect(try SinkSpecification(SinkSpecification.file(file).description) == .file(file))
    for block in ["5000", "4095", "0", "2G"] {
      #expect(throws: SpecificationError.self) { try SinkSpecification("file:/a,block=\(block)") }
    }
  }
}
