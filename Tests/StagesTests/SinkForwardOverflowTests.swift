import Glibc
import IngestTestSupport
import RingCore
import Testing
import ZeroCopy

@testable import Stages

@Suite("forwarding to a receiver that is behind")
struct SinkForwardOverflowTests {
  private static func options(_ port: UInt16, _ spelled: String) throws -> ForwardSinkOptions {
    guard case .forward(let options) = try SinkSpecification("forward:127.0.0.1:\(port),\(spelled)")
    else { throw TestProblem() }
    return options
  }
  private struct TestProblem: Error {}

  /// Records whose bytes come from one pool: many are made soon.
  private static func stream(
    _ slot: Int, bytes total: Int, _ pool: [UInt8], _ random: inout SeededGenerator
  ) -> SampleStream {
    var bytes: [UInt8] = []
    var records: [SampleRecord] = []
    while bytes.count < total {
      let payload = random.logUniform(upTo: 40_000)
      for word in [UInt32(slot + 1), UInt32(records.count), UInt32(payload)] {
        for shift in [0, 8, 16, 24] as [UInt32] {
          bytes.append(UInt8(truncatingIfNeeded: word >> shift))
        }
      }
      let from = Int.random(in: 0...(pool.count - payload), using: &random)
      bytes += pool[from..<from + payload]
      bytes.append(10)
      records.append(SampleRecord(lead: 12, payload: payload, trail: 1))
    }
    return SampleStream(
      slot: UInt32(slot), serial: UInt64(slot + 1), bytes: bytes, records: records)
  }

  private struct Outcome {
    var streams: [SampleStream]
    var ends: [FarEnd.End]
    var counters: SinkCounters
    var faults: [Fault]
  }

  private static func run(_ spelled: String, seed: UInt64, bytes: Int) throws -> Outcome {
    var random = SeededGenerator(seed: seed)
    let (gate, progress) = (StopCount(), StopCount())
    let far = try FarEnd(pauses: seed % 2 == 0 ? 0 : 300, gate: gate)
    // Nobody reads before all is sent, or nothing goes on.
    Thread.run {
      var seen = -1
      while progress.count != seen {
        seen = progress.count
        usleep(700_000)
      }
      gate.add()
    }
    var sink = try ForwardSink(
      try options(far.port, spelled), maxConnections: 3, holdLimit: 4096, control: .endless)
    var driver = try SinkDriver()
    let pool = random.bytes(100_000)
    var streams = (0..<3).map { stream($0, bytes: bytes, pool, &random) }
    for stream in streams { driver.open(stream, &sink) }
    while let index = streams.indices.filter({ streams[$0].left > 0 }).randomElement(
      using: &random)
    {
      try driver.deliver(random.logUniform(upTo: 16384), of: &streams[index], to: &sink)
      progress.add()
      if streams[index].left == 0 { driver.close(streams[index], &sink) }
      if random.next() % 4 == 0 {
        driver.endBatch(&sink)
        driver.reap(&sink)
      }
    }
    driver.drain(&sink)
    #expect(sink.failures.isEmpty && driver.refusals.isEmpty && driver.out.isEmpty)
    driver.expectAccounted(sink.counters)
    #expect(sink.counters.lostBytes == 0)
    return Outcome(
      streams: streams, ends: far.ended(3), counters: sink.counters, faults: driver.faults)
  }

  @Test(
    "what waits aside follows, each connection whole and in order",
    arguments: 1...6 as ClosedRange<UInt64>)
  func spill(seed: UInt64) throws {
    // With the small one the thread has to wait all the same.
    let queue = seed % 3 == 0 ? "256K" : "1G"
    let outcome = try Self.run("full=spill,spill=/tmp,queue=\(queue)", seed: seed, bytes: 6 << 20)
    #expect(Set(outcome.ends.map(\.bytes)) == Set(outcome.streams.map(\.bytes)))
    #expect(outcome.ends.allSatisfy { $0.errno == 0 })
    #expect(outcome.counters.spilledBytes > 0 && outcome.counters.droppedBytes == 0)
    #expect(outcome.counters.replayedBytes == outcome.counters.spilledBytes)
    #expect((outcome.counters.spillWaits > 0) == (queue == "256K"))
    #expect(outcome.faults.isEmpty)
  }

  @Test("whole records are dropped, counted, and told", arguments: 1...6 as ClosedRange<UInt64>)
  func drop(seed: UInt64) throws {
    let outcome = try Self.run("full=drop,queue=512K", seed: seed, bytes: 6 << 20)
    var lost: UInt64 = 0
    var dropped: UInt64 = 0
    var losers: Set<UInt64> = []
    for end in outcome.ends {
      let serial = try #require(end.bytes.first)
      let stream = outcome.streams[Int(serial) - 1]
      var at = 0
      var from = 0
      for record in stream.records {
        let bytes = stream.bytes[from..<from + record.count]
        from += record.count
        if end.bytes[at...].starts(with: bytes) {
          at += record.count
        } else {
          lost += UInt64(record.count)
          dropped += 1
          losers.insert(stream.connection.serial)
        }
      }
      #expect(at == end.bytes.count, "a record was cut in two")
    }
    #expect(dropped > 0 && outcome.counters.droppedRecords == dropped)
    #expect(outcome.counters.droppedBytes == lost)
    #expect(Set(outcome.faults.map(\.connection)) == losers)
    #expect(outcome.faults.count == losers.count)
    #expect(outcome.faults.allSatisfy { $0.kind == .dropped })
  }

  @Test("a receiver that goes away loses what waited, and that is counted")
  func gone() throws {
    let gate = StopCount()
    let far = try FarEnd(readsAtMost: 300_000, gate: gate)
    var sink = try ForwardSink(
      try Self.options(far.port, "full=spill,spill=/tmp"), maxConnections: 1, holdLimit: 4096,
      control: .endless)
    var driver = try SinkDriver()
    var random = SeededGenerator(seed: 3)
    var stream = Self.stream(0, bytes: 12 << 20, random.bytes(100_000), &random)
    driver.open(stream, &sink)
    while stream.left > 0 {
      try driver.deliver(16384, of: &stream, to: &sink)
      driver.endBatch(&sink)
      driver.reap(&sink)
    }
    gate.add()
    repeat {
      driver.reap(&sink, .one)
      driver.endBatch(&sink)
    } while driver.refusals.isEmpty
    driver.close(stream, &sink, .refused)
    driver.drain(&sink)
    driver.expectAccounted(sink.counters)
    #expect(sink.counters.lostBytes > 0)
    #expect(sink.counters.spilledBytes > sink.counters.replayedBytes)
    #expect(sink.failures.count == 1)
  }

  @Test("how it is spelled, and what contradicts itself")
  func spelling() throws {
    let text = "forward:[::1]:7,method=send,bytes=all,full=spill,queue=1G,spill=/var/tmp"
    #expect(try SinkSpecification(text).description == text)
    let short = try SinkSpecification("forward:h:7,full=drop")
    #expect("\(short)" == "forward:h:7,method=send,bytes=all,full=drop,queue=1M")
    for (text, why) in [
      ("forward:h:7,full=drop,method=send-zc", "until the receiving host has acknowledged"),
      ("forward:h:7,full=spill", "needs a folder"),
      ("shm:/s,full=spill,spill=/tmp", "copied back into that memory"),
      ("file:/f,full=drop", "is not for files"),
    ] {
      let error = #expect(throws: SpecificationError.self) { try SinkSpecification(text) }
      #expect(error?.description.contains(why) == true, "\(error?.description ?? text)")
    }
    #expect("\(try SinkSpecification("shm:/s,full=drop,queue=1M"))".hasSuffix(",queue=1M"))
    #expect("\(try SinkSpecification("shm:/s,full=drop"))".hasSuffix(",full=drop"))
  }
}
