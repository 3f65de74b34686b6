import Glibc
import IngestTestSupport
import RingCore
import Synchronization
import Testing

@testable import Stages

@Suite("what a sink does while its reader is behind")
struct SinkOverflowTests {
  private static func overflow(_ spelled: String) throws -> OverflowOptions {
    guard case .stdout(_, let overflow) = try SinkSpecification("stdout:" + spelled) else {
      return OverflowOptions()
    }
    return overflow
  }

  /// Sends a stream's records to a sink at the end of a pipe; somebody reads it in bursts.
  private struct Pipe: ~Copyable {
    let reader: Int32
    let writer: Int32
    var received: [UInt8] = []

    init() throws {
      (reader, writer) = try makePipe()
      _ = fcntl(reader, F_SETFL, O_NONBLOCK)
    }

    deinit { close(reader) }

    mutating func take(_ count: Int) {
      var buffer = [UInt8](repeating: 0, count: count)
      let got = unsafe read(reader, &buffer, count)
      if got > 0 { received += buffer[..<got] }
    }
  }

  private struct Outcome {
    var sent: [UInt8]
    /// Of each record, its bytes as they are sent.
    var records: [ArraySlice<UInt8>]
    var received: [UInt8]
    var counters: SinkCounters
    var faults: Int
  }

  private static func run(_ spelled: String, seed: UInt64, records: Int = 400) throws -> Outcome {
    var pipe = try Pipe()
    var sink = try StdoutSink(
      descriptor: pipe.writer, overflow: try overflow(spelled), maxConnections: 1,
      recordBound: 6013)
    var driver = try SinkDriver()
    var random = SeededGenerator(seed: seed)
    var stream = recordStream(slot: 0, serial: 1, records: records, upTo: 6000, &random)
    var cuts: [ArraySlice<UInt8>] = []
    var at = 0
    for record in stream.records {
      cuts.append(stream.bytes[at..<at + record.count])
      at += record.count
    }
    driver.open(stream, &sink)
    while stream.left > 0 {
      try driver.deliver(random.logUniform(upTo: 16384), of: &stream, to: &sink)
      if Int.random(in: 0..<4, using: &random) == 0 { driver.endBatch(&sink) }
      if Int.random(in: 0..<8, using: &random) == 0 {
        pipe.take(random.logUniform(upTo: 100_000))
        driver.reap(&sink)
      }
    }
    driver.close(stream, &sink)
    var patience = 100_000
    repeat {
      driver.endBatch(&sink)
      pipe.take(1 << 16)
      driver.reap(&sink)
      patience -= 1
    } while sink.pending > 0 && patience > 0
    close(pipe.writer)
    while true {
      let before = pipe.received.count
      pipe.take(1 << 16)
      if pipe.received.count == before { break }
    }
    #expect(driver.out.isEmpty && sink.failures.isEmpty && patience > 0)
    return Outcome(
      sent: stream.bytes, records: cuts, received: pipe.received, counters: sink.counters,
      faults: driver.faults.count)
  }

  @Test("what is spilled follows in order, and all of it", arguments: 1...20 as ClosedRange<UInt64>)
  func spill(seed: UInt64) throws {
    let outcome = try Self.run("full=spill,spill=/tmp", seed: seed)
    #expect(outcome.received == outcome.sent)
    #expect(outcome.counters.spilledBytes > 0 && outcome.counters.droppedBytes == 0)
    #expect(outcome.counters.replayedBytes == outcome.counters.spilledBytes)
    #expect(outcome.counters.bytes == UInt64(outcome.sent.count))
    #expect(outcome.faults == 0)
  }

  @Test("whole records are dropped, counted, and told", arguments: 1...20 as ClosedRange<UInt64>)
  func drop(seed: UInt64) throws {
    let outcome = try Self.run("full=drop,queue=16K", seed: seed)
    var dropped = 0
    var lost: UInt64 = 0
    var at = 0
    for record in outcome.records {
      if outcome.received[at...].starts(with: record) {
        at += record.count
      } else {
        dropped += 1
        lost += UInt64(record.count)
      }
    }
    #expect(at == outcome.received.count, "a record was cut in two")
    #expect(dropped > 0 && outcome.counters.droppedRecords == UInt64(dropped))
    #expect(outcome.counters.droppedBytes == lost)
    #expect(outcome.counters.bytes + lost == UInt64(outcome.sent.count))
    #expect(outcome.faults == 1)
  }

  @Test("a file at its limit holds the senders back, and nothing is lost")
  func limit() throws {
    let pipe = try SinkStdoutTests.Collector(nonBlocking: false)
    var sink = try StdoutSink(
      descriptor: pipe.writer, overflow: try Self.overflow("full=spill,spill=/tmp,queue=4K"),
      maxConnections: 1, recordBound: 6013)
    var driver = try SinkDriver()
    var random = SeededGenerator(seed: 5)
    var stream = recordStream(slot: 0, serial: 1, records: 2000, upTo: 6000, &random)
    driver.open(stream, &sink)
    while stream.left > 0 {
      try driver.deliver(random.logUniform(upTo: 16384), of: &stream, to: &sink)
    }
    driver.close(stream, &sink)
    driver.drain(&sink)
    #expect(pipe.finish() == stream.bytes)
    #expect(sink.counters.bytes == UInt64(stream.bytes.count))
  }

  @Test("how it is spelled")
  func spelling() throws {
    #expect(try Self.overflow("full=drop").limit == 1 << 20)
    #expect(try Self.overflow("full=spill,spill=/tmp").folder == "/tmp")
    for text in ["full=spill", "full=later", "spill=/tmp", "full=drop,spill=/tmp", "queue=4K"] {
      #expect(throws: SpecificationError.self, "\(text)") {
        try SinkSpecification("stdout:" + text)
      }
    }
    let text = "unix:/run/x,mode=stream,bytes=all,full=spill,queue=1G,spill=/var/tmp"
    #expect(try SinkSpecification(text).description == text)
    #expect(throws: SinkError.self) {
      _ = try OverflowQueue(try Self.overflow("full=spill,spill=/no/such/folder"))
    }
  }
}
