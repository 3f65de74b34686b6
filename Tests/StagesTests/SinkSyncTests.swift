import Glibc
import IngestTestSupport
import RingCore
import Stages
import Testing

@Suite("file sink: what is safe while bytes come")
struct SinkSyncTests {
  /// What was told of each connection's file, in order.
  private static func told(_ driver: inout SinkDriver) -> [UInt64: [UInt64]] {
    var told: [UInt64: [UInt64]] = [:]
    driver.batch.synced.drain { told[$0.connection, default: []].append($0.bytes) }
    return told
  }

  private static func options(_ directory: TemporaryDirectory) -> FileSinkOptions {
    var options = FileSinkOptions(path: directory.path)
    // Shorter than it takes to hand a batch over: the timer fires all the time.
    options.syncEvery = 1000
    return options
  }

  @Test("it grows, never beyond the file, and ends with all of it")
  func grows() throws {
    for resources in SinkFileTests.Resources.allCases where resources != .none {
      for direct in [false, true] {
        withEvery("seed", in: 51...53 as ClosedRange<UInt64>) { seed in
          var generator = SeededGenerator(seed: seed)
          let directory = try TemporaryDirectory()
          var options = Self.options(directory)
          options.direct = direct
          options.block = 4096
          var sink = try FileSink(
            options, maxConnections: 5, recordBound: 20_013, limits: resources.limits)
          var driver = try SinkDriver(entries: 4)
          let streams = try SinkFileTests.play(
            &driver, &sink, slots: 5, total: 12, resetEvery: 7, &generator)
          #expect(driver.out.isEmpty)
          #expect(sink.failures.isEmpty && driver.faults.isEmpty)
          let told = Self.told(&driver)
          for stream in streams {
            let serial = stream.connection.serial
            let sizes = told[serial] ?? []
            #expect(sizes == sizes.sorted() && Set(sizes).count == sizes.count)
            #expect(sizes.last ?? 0 == UInt64(stream.cursor), "seed \(seed), \(serial)")
            let content = contents(directory.path + "/connection-\(serial)")
            #expect(content == Array(stream.bytes[..<stream.cursor]), "seed \(seed), \(serial)")
          }
        }
      }
    }
  }

  @Test("nothing is told where the disk fails, and nothing without being asked")
  func failed() throws {
    for asked in [true, false] {
      let directory = try TemporaryDirectory()
      var options = FileSinkOptions(path: directory.path)
      if asked { options.syncEvery = 1000 }
      var sink = try FileSink(options, maxConnections: 1, recordBound: nil)
      var driver = try SinkDriver()
      // Of the write, the timer and the fsync, in whatever order.
      if asked { for number in 1...8 { driver.answers[number] = -EIO } }
      var generator = SeededGenerator(seed: 7)
      _ = try SinkFileTests.play(
        &driver, &sink, slots: 1, total: 1, resetEvery: 7, &generator)
      #expect(Self.told(&driver).isEmpty)
      #expect(sink.failures.isEmpty != asked)
    }
  }
}
