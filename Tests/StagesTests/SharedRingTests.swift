import CIngestShm
import Glibc
import IngestTestSupport
import Testing

@testable import Stages

/// The producer's end of a ring beside the consumer's, both in this process.
@safe
final class RingPair {
  var ring: SharedRing
  var consumer = unsafe ingest_shm_consumer()
  let memory: SharedRingMemory

  init(records: Int, returns: Int, areaBytes: Int = 1 << 20) throws {
    let bytes = SharedRing.byteCount(records: records, returns: returns)
    memory = try SharedRingMemory(byteCount: bytes)
    ring = unsafe SharedRing(
      unsafeMemory: memory.base, records: records, returns: returns, areaBytes: areaBytes,
      thread: 3)
    // The area itself is not looked at here.
    let status = unsafe ingest_shm_open(
      &consumer, memory.base, UInt64(bytes), memory.base, UInt64(areaBytes))
    try #require(status == 0)
  }

  /// Any 32-bit word of the memory, as a consumer can reach it.
  func word(_ index: Int) -> UnsafeMutablePointer<UInt32> {
    precondition(index * 4 < memory.byteCount)
    return unsafe memory.base.assumingMemoryBound(to: UInt32.self) + index
  }
}

@Suite("shared ring")
struct SharedRingTests {
  @Test("words of different writers share no pair of cache lines")
  func layout() throws {
    typealias Header = ingest_shm_header
    let producer = [
      try #require(MemoryLayout<Header>.offset(of: \.record_tail)),
      try #require(MemoryLayout<Header>.offset(of: \.return_head)),
      try #require(MemoryLayout<Header>.offset(of: \.ended)),
    ]
    let consumer = [
      try #require(MemoryLayout<Header>.offset(of: \.record_head)),
      try #require(MemoryLayout<Header>.offset(of: \.return_tail)),
    ]
    let waits = [
      try #require(MemoryLayout<Header>.offset(of: \.producer_waits)),
      try #require(MemoryLayout<Header>.offset(of: \.consumer_waits)),
    ]
    #expect(producer == [128, 132, 136])
    #expect(consumer == [256, 260])
    #expect(waits == [384, 512])
    #expect(MemoryLayout<Header>.stride == 640)
  }

  @Test("another version, another size or a missing power of two is not opened")
  func versions() throws {
    let pair = try RingPair(records: 8, returns: 4)
    let bytes = UInt64(pair.memory.byteCount)
    // Word by word: magic, version, sizes, counts, places.
    for index in [0, 1, 2, 3, 4, 6, 8, 9, 10, 11, 12, 13] {
      let before = unsafe pair.word(index).pointee
      for value in [before &+ 1, 0xffff_fff0, 3] where value != before {
        unsafe pair.word(index).pointee = value
        var consumer = unsafe ingest_shm_consumer()
        let status = unsafe ingest_shm_open(
          &consumer, pair.memory.base, bytes, pair.memory.base, 1 << 20)
        #expect(status != 0, "opened with \(value) in word \(index)")
      }
      unsafe pair.word(index).pointee = before
    }
  }

  @Test("every record arrives once and in order, for every size", arguments: 1...12)
  func identity(shift: Int) throws {
    let size = 1 << shift
    let pair = try RingPair(records: size, returns: 2)
    var generator = SeededGenerator(seed: UInt64(shift))
    var sent: UInt64 = 0
    var got: UInt64 = 0
    var unpublished = 0
    while got < UInt64(size * 5 + 100) {
      for _ in 0..<generator.logUniform(upTo: size * 2) {
        if !pair.ring.hasRoom {
          let flaw = pair.ring.readPosition()
          #expect(flaw == nil)
        }
        guard pair.ring.hasRoom else { break }
        var record = ingest_shm_record()
        record.serial = sent
        record.offset = sent &* 0x9e37_79b9_7f4a_7c15
        pair.ring.push(record)
        sent += 1
        unpublished += 1
      }
      #expect(sent - got <= UInt64(size))
      if Bool.random(using: &generator) || unpublished == size {
        _ = pair.ring.publish()
        unpublished = 0
      }
      var record = ingest_shm_record()
      for _ in 0..<generator.logUniform(upTo: size * 2) {
        guard unsafe ingest_shm_next(&pair.consumer, &record) != 0 else { break }
        #expect(record.serial == got)
        #expect(record.offset == got &* 0x9e37_79b9_7f4a_7c15)
        got += 1
      }
      _ = unsafe ingest_shm_publish(&pair.consumer)
    }
    let isAsleep = pair.ring.end()
    #expect(!isAsleep)
    var record = ingest_shm_record()
    while unsafe ingest_shm_next(&pair.consumer, &record) != 0 { got += 1 }
    #expect(got == sent)
    #expect(unsafe ingest_shm_ended(&pair.consumer) != 0)
  }

  @Test("a sleeping side is woken once, and never sleeps past what is there")
  func wakes() throws {
    let pair = try RingPair(records: 4, returns: 4)
    #expect(unsafe ingest_shm_may_sleep(&pair.consumer) == 1)
    pair.ring.push(ingest_shm_record())
    let wakes = pair.ring.publish()
    #expect(wakes)
    let wakesForNothing = pair.ring.publish()
    #expect(!wakesForNothing)
    pair.ring.push(ingest_shm_record())
    let wakesAgain = pair.ring.publish()
    #expect(!wakesAgain)
    #expect(unsafe ingest_shm_may_sleep(&pair.consumer) == 0)
    #expect(unsafe ingest_shm_publish(&pair.consumer) == 0)
    pair.ring.announceWait()
    unsafe ingest_shm_give_back(&pair.consumer, 7)
    #expect(unsafe ingest_shm_publish(&pair.consumer) == 1)
    #expect(unsafe ingest_shm_publish(&pair.consumer) == 0)
    #expect(pair.ring.readyReturns() == 1)
    let claim = pair.ring.takeReturn()
    #expect(claim == 7)
  }

  /// Garbage in every word that the consumer can write, while the producer works: no read or write
  /// outside, no position that cannot be, whatever it says.
  @Test("nothing in shared memory is believed", arguments: 1...40 as ClosedRange<UInt64>)
  func hostile(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let records = 1 << Int.random(in: 1...6, using: &generator)
    let returns = 1 << Int.random(in: 1...6, using: &generator)
    let pair = try RingPair(records: records, returns: returns)
    let words = pair.memory.byteCount / 4
    var flaws = 0
    for _ in 0..<3000 {
      for _ in 0..<Int.random(in: 0...3, using: &generator) {
        let index =
          Bool.random(using: &generator)
          ? [64, 65].randomElement(using: &generator) ?? 64
          : Int.random(in: 0..<words, using: &generator)
        let value = UInt32(truncatingIfNeeded: generator.next())
        unsafe pair.word(index).pointee = Bool.random(using: &generator) ? value : value % 8
      }
      let (written, unread) = (pair.ring.written, pair.ring.unread)
      if pair.ring.hasRoom { pair.ring.push(ingest_shm_record()) }
      #expect(pair.ring.written &- written <= 1)
      _ = pair.ring.publish()
      if pair.ring.readPosition() != nil { flaws += 1 }
      // It never goes back, and never beyond what was published.
      #expect(pair.ring.unread <= unread + 1)
      #expect(pair.ring.unread <= UInt32(records))
      pair.ring.announceWait()
      guard let ready = pair.ring.readyReturns() else {
        flaws += 1
        continue
      }
      #expect(ready <= UInt32(returns))
      for _ in 0..<ready { _ = pair.ring.takeReturn() }
      pair.ring.retireReturns()
    }
    #expect(flaws > 100, "the garbage was noticed")
  }
}
