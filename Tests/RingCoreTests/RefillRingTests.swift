import CIngestKernel
import IngestTestSupport
import RingCore
import Testing

/// What an engine does with completions: a lease for each, answered at once or later, and exactly
/// one refill entry for each, through the queue under test.
private struct Reaper: ~Copyable {
  var completions: CompletionRing
  var refill: RefillQueue
  var batch: Batch
  var held: [UInt64] = []
  var received: [UInt32: [UInt8]] = [:]

  static let holdLimit: UInt32 = 40

  init(_ kernel: FakeReceiveQueue, lock: RefillLock? = nil) {
    completions = kernel.completions.ring()
    refill = RefillQueue(
      ring: kernel.refillRing(), layout: kernel.area.layout, batch: completions.capacity,
      holdLimit: Reaper.holdLimit, lock: lock)
    batch = Batch(area: kernel.area.memory, submissions: nil, holdLimit: 64)
  }

  /// Handles at most `limit` completions; each lease is held with a chance of 1 in `holdOneIn`.
  mutating func reap(limit: UInt32, holdOneIn: Int, generator: inout SeededGenerator) {
    let count = min(completions.available(), limit, refill.batchLimit)
    var view = refill.beginBatch()
    for index in 0..<count {
      let entry = unsafe completions.entry(index).pointee
      let lease = view.claim(
        offset: entry.zcrx_offset, length: UInt32(entry.res),
        connection: OperationTag(rawValue: entry.user_data).index)
      let bytes = batch.area.withBytes(of: lease) { bytes in
        unsafe bytes.withUnsafeBytes { unsafe Array($0) }
      }
      received[lease.connection, default: []] += bytes
      guard let offset = lease.done().take() else { continue }
      if Int.random(in: 0..<holdOneIn, using: &generator) == 0 && held.count < Reaper.holdLimit {
        held.append(offset)
      } else {
        view.release(offset)
      }
    }
    completions.advance(count)
    refill.view = view
    _ = refill.settle()
  }

  /// Lets some of the held leases go, in any order.
  mutating func giveBack(releasing count: Int, generator: inout SeededGenerator) {
    var view = refill.beginBatch()
    for _ in 0..<min(count, held.count) {
      view.release(held.remove(at: Int.random(in: held.indices, using: &generator)))
    }
    refill.view = view
    _ = refill.settle()
  }
}

@Suite struct RefillRingTests {
  /// With a lock as well: then every claim takes the way through the list.
  @Test(arguments: [8, 16, 32, 128, 1024] as [UInt32], [1, 2, 3] as [UInt64])
  func everyBufferGoesBackExactlyOnceForAnySplit(capacity: UInt32, seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed << 32 | UInt64(capacity))
    let layout = try #require(AreaLayout(bufferSize: 4096, bufferCount: 12))
    let kernel = FakeReceiveQueue(
      layout: layout, completionCapacity: capacity, refillCapacity: max(capacity / 2, 8),
      start: UInt32.max - 100)
    var reaper = Reaper(kernel, lock: seed == 3 ? RefillLock() : nil)
    let returnedBefore = reaper.refill.view.returned
    let streams: [[UInt8]] = (0..<3).map { _ in generator.bytes(60_000) }
    var sent = [0, 0, 0]
    var rounds = 0
    while reaper.received.values.reduce(0, { $0 + $1.count }) < 180_000 {
      rounds += 1
      try #require(rounds < 200_000, "the area ran dry for good")
      for _ in 0..<Int.random(in: 0...20, using: &generator) {
        let connection = Int.random(in: 0..<3, using: &generator)
        let left = streams[connection].count - sent[connection]
        guard left > 0 else { continue }
        let size = min(generator.logUniform(upTo: 4096), left)
        let bytes = streams[connection][sent[connection]..<sent[connection] + size]
        let tag = OperationTag(.receive, index: UInt32(connection)).rawValue
        let fresh = Int.random(in: 0..<4, using: &generator) == 0
        guard kernel.deliver(bytes, tag: tag, fresh: fresh) else { break }
        sent[connection] += size
      }
      reaper.reap(
        limit: UInt32.random(in: 0...capacity, using: &generator), holdOneIn: 8,
        generator: &generator)
      reaper.giveBack(
        releasing: Int.random(in: 0...10, using: &generator), generator: &generator)
      if Bool.random(using: &generator) { kernel.readRefill() }
    }
    repeat {
      reaper.giveBack(releasing: .max, generator: &generator)
      kernel.readRefill()
    } while reaper.refill.waiting > 0
    #expect(kernel.audit() == [])
    #expect(kernel.posted == kernel.refilled)
    #expect(reaper.refill.leaks() == nil)
    #expect(reaper.refill.view.returned &- returnedBefore == UInt32(kernel.posted))
    for connection in 0..<3 {
      #expect(reaper.received[UInt32(connection)] == streams[connection])
    }
  }

  @Test func roomFollowsTheKernelsHead() throws {
    let layout = try #require(AreaLayout(bufferSize: 4096, bufferCount: 8))
    let kernel = FakeReceiveQueue(layout: layout, completionCapacity: 16, refillCapacity: 8)
    var ring = kernel.refillRing()
    #expect(ring.room() == 8)
    for _ in 0..<8 { #expect(kernel.deliver([1, 2, 3], tag: 0)) }
    for index in 0..<8 { ring.push(offset: UInt64(index * 3)) }
    #expect(ring.room() == 0)
    kernel.readRefill()
    #expect(kernel.refilled == 0, "the kernel saw entries that were not published")
    ring.publish()
    kernel.readRefill(limit: 5)
    #expect(ring.room() == 5)
    kernel.readRefill()
    #expect(ring.room() == 8)
    #expect(kernel.audit() == [])
  }

  // The three mistakes that the kernel keeps silent about must show, or the property test above
  // proves nothing.
  @Test func theFakeKernelNoticesALostADoubledAndAnOverwrittenEntry() throws {
    let layout = try #require(AreaLayout(bufferSize: 4096, bufferCount: 8))
    let lost = FakeReceiveQueue(layout: layout, completionCapacity: 16, refillCapacity: 8)
    #expect(lost.deliver([1], tag: 0))
    #expect(lost.audit() == ["chunk 0 still owes 1 refill entries"])

    let doubled = FakeReceiveQueue(layout: layout, completionCapacity: 16, refillCapacity: 8)
    #expect(doubled.deliver([1], tag: 0))
    var ring = doubled.refillRing()
    ring.push(offset: 0)
    ring.push(offset: 0)
    ring.publish()
    #expect(doubled.audit() == ["a refill entry too many for chunk 0"])

    let overwritten = FakeReceiveQueue(layout: layout, completionCapacity: 16, refillCapacity: 8)
    for _ in 0..<9 { #expect(overwritten.deliver([1], tag: 0, fresh: false)) }
    var full = overwritten.refillRing()
    for index in 0..<9 { full.push(offset: UInt64(index)) }
    full.publish()
    let said = overwritten.audit()
    #expect(said.contains("9 entries in a refill ring of 8: overwritten"))
    #expect(said.contains("chunk 0 still owes 1 refill entries"))
  }
}
