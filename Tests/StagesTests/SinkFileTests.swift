import Glibc
import IngestTestSupport
import RingCore
import Stages
import Testing

@Suite("file sink")
struct SinkFileTests {
  /// Plays `total` connections through `slots` slots in random order, then drains. A connection
  /// whose serial number is divisible by `resetEvery` ends inside its last record.
  static func play(
    _ driver: inout SinkDriver, _ sink: inout FileSink, slots: Int, total: Int, resetEvery: Int,
    _ generator: inout SeededGenerator
  ) throws -> [SampleStream] {
    var open: [SampleStream] = []
    var done: [SampleStream] = []
    var freeSlots = Array(0..<UInt32(slots))
    var serial: UInt64 = 0
    while done.count < total {
      if serial < total, !freeSlots.isEmpty, Bool.random(using: &generator) {
        serial += 1
        let slot = freeSlots.removeLast()
        open.append(
          recordStream(
            slot: slot, serial: serial, records: Int.random(in: 0...20, using: &generator),
            upTo: 20_000, &generator))
        open[open.count - 1].openEnd = Bool.random(using: &generator)
        driver.open(open[open.count - 1], &sink)
      } else if let index = open.indices.randomElement(using: &generator) {
        let cut = open[index].connection.serial % UInt64(resetEvery) == 0 ? 1 : 0
        if open[index].left <= cut {
          // The slot is free at once, while the file may still be finishing.
          let ended = open.remove(at: index)
          driver.close(ended, &sink, cut == 1 ? .failed(ECONNRESET) : .finished)
          freeSlots.append(ended.connection.slot)
          done.append(ended)
        } else {
          let count = min(generator.logUniform(upTo: 16384), open[index].left - cut)
          try driver.deliver(count, of: &open[index], to: &sink)
        }
      }
      if Int.random(in: 0..<8, using: &generator) == 0 {
        driver.endBatch(&sink)
        driver.reap(&sink)
      }
    }
    driver.drain(&sink)
    return done
  }

  /// Limits that fit, limits that are always exhausted, and no ring at all.
  enum Resources: CaseIterable {
    case ample, scarce, none
    var limits: FileSinkLimits? {
      self == .scarce ? FileSinkLimits(operations: 2, vectors: 2, leases: 3) : nil
    }
  }

  @Test("one file for each connection holds what was sent", arguments: SinkBytes.allCases)
  func each(bytes: SinkBytes) throws {
    for resources in Resources.allCases {
      withEvery("seed", in: 1...2 as ClosedRange<UInt64>) { seed in
        var generator = SeededGenerator(seed: seed)
        let directory = try TemporaryDirectory()
        var options = FileSinkOptions(path: directory.path)
        options.bytes = bytes
        var sink = try FileSink(
          options, maxConnections: 5, recordBound: nil, limits: resources.limits)
        // A submission queue of 4: requests have to wait for their turn.
        var driver = try SinkDriver(entries: 4, withRing: resources != .none)
        let streams = try Self.play(
          &driver, &sink, slots: 5, total: 30, resetEvery: 7, &generator)
        var total = 0
        for stream in streams {
          // A cut takes the last record's trailing byte: its payload is whole.
          let path = "\(directory.path)/connection-\(stream.connection.serial)"
          let expected =
            bytes == .all
            ? Array(stream.bytes[..<stream.cursor])
            : stream.payload
          total += expected.count
          #expect(contents(path) == expected, "seed \(seed), \(resources), \(path)")
        }
        #expect(driver.out.isEmpty)
        let counters = sink.counters
        #expect(counters.bytes == UInt64(total))
        #expect(counters.files == 30)
        #expect(counters.copiedBytes == 0)
        if resources != .ample { #expect(counters.syncWrites > 0) }
        #expect(counters.fsyncs == streams.count(where: { $0.cursor > 0 }))
        #expect(sink.failures.isEmpty)
      }
    }
  }

  @Test("one file for all holds whole records, each connection's in order")
  func one() throws {
    for resources in Resources.allCases {
      withEvery("seed", in: 11...13 as ClosedRange<UInt64>) { seed in
        var generator = SeededGenerator(seed: seed)
        let directory = try TemporaryDirectory()
        let path = directory.path + "/all"
        var options = FileSinkOptions(path: path)
        options.layout = .one
        var sink = try FileSink(
          options, maxConnections: 5, recordBound: 20_013, limits: resources.limits)
        var driver = try SinkDriver(entries: 4, withRing: resources != .none)
        let streams = try Self.play(
          &driver, &sink, slots: 5, total: 30, resetEvery: 3, &generator)
        let written = try #require(contents(path))
        #expect(driver.out.isEmpty)
        #expect(sink.counters.bytes == UInt64(written.count))
        #expect(sink.counters.copiedBytes > 0)
        if resources != .ample { #expect(sink.counters.syncWrites > 0) }
        #expect(sink.failures.isEmpty)
        // Take the file apart: every record must be the next one of its connection.
        var next: [UInt64: (record: Int, offset: Int)] = [:]
        let bySerial = Dictionary(uniqueKeysWithValues: streams.map { ($0.connection.serial, $0) })
        var offset = 0
        while offset < written.count {
          let serial = UInt64(written[offset])
          let stream = try #require(bySerial[serial], "offset \(offset)")
          let at = next[serial] ?? (0, 0)
          let count = stream.records[at.record].count
          let expected = stream.bytes[at.offset..<(at.offset + count)]
          try #require(offset + count <= written.count)
          try #require(written[offset..<(offset + count)] == expected, "offset \(offset)")
          next[serial] = (at.record + 1, at.offset + count)
          offset += count
        }
        for stream in streams {
          let whole = stream.left == 0 ? stream.records.count : stream.records.count - 1
          #expect(next[stream.connection.serial]?.record ?? 0 == whole)
        }
      }
    }
  }

  @Test("a stream without records goes into one file when there is one connection at a time")
  func oneUnbounded() throws {
    let directory = try TemporaryDirectory()
    var options = FileSinkOptions(path: directory.path + "/all")
    options.layout = .one
    options.sync = .none
    var sink = try FileSink(options, maxConnections: 1, recordBound: nil)
    let reads = sink.readsPayload
    #expect(!reads)
    var driver = try SinkDriver()
    var generator = SeededGenerator(seed: 5)
    let bytes = generator.bytes(300_000)
    var stream = SampleStream(
      slot: 0, serial: 1, bytes: bytes, records: [SampleRecord(payload: bytes.count)])
    driver.open(stream, &sink)
    while stream.left > 0 { try driver.deliver(10_000, of: &stream, to: &sink) }
    driver.close(stream, &sink)
    driver.drain(&sink)
    #expect(contents(options.path) == bytes)
    #expect(sink.counters.fsyncs == 0)
  }

  @Test("leases that touch in memory become one write")
  func merging() throws {
    let directory = try TemporaryDirectory()
    var sink = try FileSink(
      FileSinkOptions(path: directory.path), maxConnections: 1, recordBound: nil)
    var driver = try SinkDriver(bufferSize: 65536)
    var generator = SeededGenerator(seed: 6)
    let bytes = generator.bytes(40_000)
    var stream = SampleStream(
      slot: 0, serial: 1, bytes: bytes, records: [SampleRecord(payload: bytes.count)])
    driver.open(stream, &sink)
    for _ in 0..<20 { try driver.deliver(2000, of: &stream, to: &sink) }
    driver.drain(&sink)
    #expect(sink.counters.writes == 1)
    #expect(sink.counters.syncWrites == 0)
    driver.close(stream, &sink)
    driver.drain(&sink)
    #expect(driver.out.isEmpty)
    #expect(contents(directory.path + "/connection-1") == bytes)
  }
}
