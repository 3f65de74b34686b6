import CIngestKernel
import IngestTestSupport
import RingCore
import Testing

/// What the copy engine does with completions, without a kernel: leases for what each one filled,
/// given back at once or later, in any order.
private struct Reaper: ~Copyable {
  var completions: CompletionRing
  var buffers: ProvidedBuffers
  var ledger: Ledger
  var held: [UInt64] = []
  var received: [UInt32: [UInt8]] = [:]
  var starved = 0
  var batch: UInt64 = 0
  let kernel: FakeBufferRing

  init(_ kernel: FakeBufferRing, postLimit: UInt32) {
    self.kernel = kernel
    completions = kernel.completions.ring()
    buffers = unsafe ProvidedBuffers(
      unsafeRing: kernel.entries, area: kernel.area.base, layout: kernel.area.layout,
      postLimit: postLimit)
    ledger = Ledger(layout: kernel.area.layout)
  }

  mutating func reap(limit: UInt32, holdOneIn: Int, generator: inout SeededGenerator) {
    let count = min(completions.available(), limit)
    for index in 0..<count {
      let entry = unsafe completions.entry(index).pointee
      guard entry.res > 0 else {
        starved += 1
        continue
      }
      let connection = OperationTag(rawValue: entry.user_data).index
      var walk = buffers.view.walk(
        buffer: UInt16(truncatingIfNeeded: entry.flags >> 16), bytes: UInt32(entry.res),
        more: entry.flags & UInt32(IK_CQE_F_BUF_MORE) != 0)
      repeat {
        let before = buffers.view.posted
        let (offset, length) = buffers.view.claim(&walk)
        ledger.leased(offset: offset, length: length, connection: connection, batch: batch)
        if buffers.view.posted < before { ledger.retired(kernel.area.layout.buffer(at: offset)) }
        let lease = Lease(offset: offset, length: length, connection: connection)
        received[connection, default: []] += kernel.area.memory.withBytes(of: lease) { bytes in
          unsafe bytes.withUnsafeBytes { unsafe Array($0) }
        }
        guard let released = lease.done().take() else { continue }
        if Int.random(in: 0..<holdOneIn, using: &generator) == 0 {
          held.append(released)
        } else {
          release(released)
        }
      } while walk.remaining > 0
    }
    completions.advance(count)
    batch += 1
  }

  mutating func release(_ offset: UInt64) {
    ledger.returned(offset)
    buffers.view.release(offset)
  }

  mutating func releaseHeld(_ count: Int, generator: inout SeededGenerator) {
    for _ in 0..<min(count, held.count) {
      release(held.remove(at: Int.random(in: held.indices, using: &generator)))
    }
  }

  mutating func publish() {
    buffers.view.publish()
    for buffer in kernel.takeNewEntries() { ledger.posted(UInt32(buffer)) }
  }
}

@Suite struct ProvidedBuffersTests {
  static let sizes: [UInt32] = [1, 2, 3, 8, 13, 32]

  @Test(arguments: FakeBufferRing.Behaviour.allCases, sizes)
  func everyBufferGoesBackExactlyOnceForAnySplit(
    behaviour: FakeBufferRing.Behaviour, count: UInt32
  ) throws {
    let layout = try #require(AreaLayout(bufferSize: 4096, bufferCount: Int(count)))
    let entries = try #require(ProvidedBuffers.ringEntries(for: layout))
    for seed in UInt64(0)..<4 {
      var generator = SeededGenerator(seed: seed << 16 | UInt64(count))
      let kernel = FakeBufferRing(
        layout: layout, entryCount: entries, completionCapacity: 8, behaviour: behaviour)
      var reaper = Reaper(kernel, postLimit: UInt32.random(in: 1...count, using: &generator))
      let streams: [[UInt8]] = (0..<3).map { _ in generator.bytes(50_000) }
      var sent = [0, 0, 0]
      var rounds = 0
      while sent.reduce(0, +) < 150_000 {
        rounds += 1
        try #require(rounds < 100_000, "the ring ran dry for good")
        reaper.publish()
        for _ in 0..<Int.random(in: 0...12, using: &generator) {
          let connection = Int.random(in: 0..<3, using: &generator)
          let left = streams[connection].count - sent[connection]
          guard left > 0 else { continue }
          let size = min(generator.logUniform(upTo: 20_000), left)
          let bytes = streams[connection][sent[connection]..<sent[connection] + size]
          let tag = OperationTag(.receive, index: UInt32(connection)).rawValue
          guard let taken = kernel.deliver(bytes, tag: tag), taken > 0 else { break }
          sent[connection] += taken
        }
        reaper.reap(
          limit: UInt32.random(in: 0...8, using: &generator), holdOneIn: 5, generator: &generator)
        reaper.releaseHeld(Int.random(in: 0...8, using: &generator), generator: &generator)
      }
      reaper.reap(limit: .max, holdOneIn: 2, generator: &generator)
      reaper.releaseHeld(.max, generator: &generator)
      #expect(kernel.violations == [])
      #expect(reaper.ledger.leaks() == nil)
      #expect(reaper.buffers.view.allHome == true)
      for connection in 0..<3 {
        #expect(reaper.received[UInt32(connection)] == streams[connection])
      }
    }
  }

  // What the fake kernel says about bad use and how it consumes must be right, or the property
  // above proves nothing.
  @Test func theFakeKernelNoticesABufferGivenTwice() throws {
    let layout = try #require(AreaLayout(bufferSize: 4096, bufferCount: 2))
    let kernel = FakeBufferRing(
      layout: layout, entryCount: 4, completionCapacity: 8,
      behaviour: .init(bundles: false, incremental: false))
    for place in 0..<2 {
      unsafe kernel.entries[place].addr = UInt64(UInt(bitPattern: kernel.area.base))
      unsafe kernel.entries[place].len = 4096
      unsafe kernel.entries[place].bid = 0
    }
    unsafe kernel.entries[0].resv = 2
    #expect(kernel.takeNewEntries() == [0, 0])
    #expect(kernel.violations == ["buffer 0 was given back twice"])
  }

  @Test func incrementalBuffersStayUntilTheyAreFull() throws {
    let layout = try #require(AreaLayout(bufferSize: 4096, bufferCount: 2))
    let kernel = FakeBufferRing(
      layout: layout, entryCount: 2, completionCapacity: 8,
      behaviour: .init(bundles: true, incremental: true))
    var buffers = unsafe ProvidedBuffers(
      unsafeRing: kernel.entries, area: kernel.area.base, layout: layout, postLimit: 2)
    buffers.view.publish()
    let ring = kernel.completions.ring()
    let more = UInt32(IK_CQE_F_BUF_MORE)
    #expect(kernel.deliver([UInt8](repeating: 1, count: 4000)[...], tag: 0) == 4000)
    #expect(kernel.deliver([UInt8](repeating: 2, count: 4000)[...], tag: 0) == 4000)
    #expect(kernel.deliver([UInt8](repeating: 3, count: 4000)[...], tag: 0) == 192)
    #expect(kernel.deliver([4], tag: 0) == 0)
    let flags = (0..<4).map { unsafe ring.entry($0).pointee.flags & more }
    #expect(flags == [more, more, 0, 0])
    #expect(unsafe ring.entry(3).pointee.res < 0)
  }

  @Test func givingABufferBackTwiceEndsTheProcess() async {
    await #expect(processExitsWith: .failure) {
      guard let layout = AreaLayout(bufferSize: 4096, bufferCount: 2) else { return }
      let kernel = FakeBufferRing(
        layout: layout, entryCount: 2, completionCapacity: 8,
        behaviour: .init(bundles: false, incremental: false))
      var buffers = unsafe ProvidedBuffers(
        unsafeRing: kernel.entries, area: kernel.area.base, layout: layout, postLimit: 2)
      buffers.view.publish()
      _ = kernel.deliver([1], tag: 0)
      var walk = buffers.view.walk(buffer: 0, bytes: 1, more: false)
      let (offset, _) = buffers.view.claim(&walk)
      buffers.view.release(offset)
      buffers.view.release(offset)
    }
  }
}
