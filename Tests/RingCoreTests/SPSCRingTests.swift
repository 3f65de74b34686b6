import CIngestKernel
import Glibc
import IngestTestSupport
import Testing

@testable import RingCore

@Suite struct SPSCRingTests {
  @Test func everyElementComesOutOnceInOrderForAnyCapacity() {
    withEvery("capacity", in: [1, 2, 4, 8, 64]) { capacity in
      let ring = SPSCRing<UInt64>(capacity: capacity)
      var producer = ring.takeProducer()
      var consumer = ring.takeConsumer()
      var generator = SeededGenerator(seed: UInt64(capacity))
      var written: UInt64 = 0
      var read: UInt64 = 0
      while read < 5000 {
        if Bool.random(using: &generator) {
          let batch = (0..<UInt64.random(in: 0...9, using: &generator)).map { written + $0 }
          let before = producer.room()
          let count = producer.push(batch.span)
          try #require(count == min(before, batch.count))
          written += UInt64(count)
        } else if producer.push(written) {
          written += 1
        } else {
          try #require(written - read == UInt64(capacity))
        }
        try #require(consumer.available() == Int(written - read))
        let limit = Int.random(in: 0...5, using: &generator)
        let drained = try consumer.drain(limit: limit) { element in
          try #require(element == read)
          read += 1
        }
        try #require(drained <= limit)
        if let element = consumer.pop() {
          try #require(element == read)
          read += 1
        }
      }
    }
  }

  @Test func emptyAndFullAreSeen() {
    let ring = SPSCRing<UInt8>(capacity: 2)
    var producer = ring.takeProducer()
    var consumer = ring.takeConsumer()
    #expect(consumer.pop() == nil)
    #expect(producer.push(1) == true)
    #expect(producer.push(2) == true)
    #expect(producer.push(3) == false)
    #expect(producer.room() == 0)
    #expect(consumer.pop() == 1)
    #expect(producer.push(3) == true)
    #expect(consumer.pop() == 2)
    #expect(consumer.pop() == 3)
    #expect(consumer.pop() == nil)
  }

  @Test func whatWasSeenCanBeLookedAtAhead() {
    let ring = SPSCRing<UInt8>(capacity: 4)
    var producer = ring.takeProducer()
    var consumer = ring.takeConsumer()
    for round in UInt8(0)..<3 {
      #expect(consumer.peek(0) == nil)
      for element in UInt8(1)...3 { #expect(producer.push(round * 10 + element) == true) }
      #expect(consumer.pop() == round * 10 + 1)
      #expect(consumer.peek(0) == round * 10 + 2)
      #expect(consumer.peek(1) == round * 10 + 3)
      #expect(consumer.peek(2) == nil)
      // Written after the reader last looked.
      #expect(producer.push(99) == true)
      #expect(consumer.peek(2) == nil)
      #expect(consumer.available() == 3)
      #expect(consumer.peek(2) == 99)
      while consumer.pop() != nil { continue }
    }
  }

  @Test func countsWrapAt32Bits() {
    let ring = SPSCRing<UInt32>(capacity: 4)
    var producer = ring.takeProducer()
    var consumer = ring.takeConsumer()
    producer.position = .max - 1
    producer.seenHead = .max - 1
    consumer.position = .max - 1
    consumer.seenTail = .max - 1
    producer.publish(0)
    consumer.retire(0)
    for element in 0..<UInt32(20) {
      #expect(producer.push(element) == true)
      #expect(consumer.pop() == element)
    }
  }

  @Test func aBodyThatThrowsHasReadItsElement() {
    struct Stop: Error {}
    let ring = SPSCRing<Int>(capacity: 8)
    var producer = ring.takeProducer()
    var consumer = ring.takeConsumer()
    #expect(producer.push([10, 11, 12].span) == 3)
    #expect(throws: Stop.self) {
      _ = try consumer.drain { if $0 == 11 { throw Stop() } }
    }
    #expect(consumer.pop() == 12)
  }

  @Test func theTwoSharedWordsHaveCacheLinesOfTheirOwn() {
    #expect(MemoryLayout<SPSCWords>.offset(of: \.tail) == 0)
    #expect(MemoryLayout<SPSCWords>.offset(of: \.head) == 128)
    #expect(MemoryLayout<SPSCWords>.stride == 256)
  }

  @Test func twoThreadsSeeTheSameSequence() {
    let count: UInt64 = 200_000
    let ring = SPSCRing<UInt64>(capacity: 64)
    let other = Writer(producer: ring.takeProducer(), count: count)
    var consumer = ring.takeConsumer()
    var thread: UInt64 = 0
    let context = unsafe Unmanaged.passRetained(other).toOpaque()
    let started = unsafe ik_thread_start(
      &thread, { unsafe Unmanaged<Writer>.fromOpaque($0).takeRetainedValue().run() }, context)
    #expect(started == 0)
    var expected: UInt64 = 0
    var wrong = 0
    while expected < count {
      let drained = consumer.drain { element in
        if element != expected { wrong += 1 }
        expected += 1
      }
      if drained == 0 { giveWay() }
    }
    #expect(ik_thread_join(thread) == 0)
    #expect(wrong == 0)
    #expect(consumer.pop() == nil)
  }

  @Test func anEndIsTakenOnce() async {
    await #expect(processExitsWith: .failure) {
      let ring = SPSCRing<Int>(capacity: 2)
      _ = ring.takeProducer()
      _ = ring.takeProducer()
    }
    await #expect(processExitsWith: .failure) {
      let ring = SPSCRing<Int>(capacity: 2)
      _ = ring.takeConsumer()
      _ = ring.takeConsumer()
    }
  }

  @Test func aSizeThatIsNoPowerOfTwoIsRefused() async {
    await #expect(processExitsWith: .failure) { _ = SPSCRing<Int>(capacity: 6) }
    await #expect(processExitsWith: .failure) { _ = SPSCRing<Int>(capacity: 0) }
  }
}

private final class Writer {
  private var producer: SPSCProducer<UInt64>
  private let count: UInt64

  init(producer: consuming SPSCProducer<UInt64>, count: UInt64) {
    self.producer = producer
    self.count = count
  }

  func run() {
    var next: UInt64 = 0
    while next < count {
      if producer.push(next) { next += 1 } else { giveWay() }
    }
  }
}

/// Lets the other thread run: on one core, spinning would wait for the scheduler.
private func giveWay() { _ = sched_yield() }
