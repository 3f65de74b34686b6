import CIngestKernel
import IngestTestSupport
import RingCore

/// A source of leases with the kernel played by the test: what an engine does between completions
/// and a stage.
protocol LeaseSource: ~Copyable {
  var area: AreaMemory { get }
  /// Lets the kernel take a prefix of `bytes`; 0 when it cannot now.
  mutating func deliver(_ bytes: ArraySlice<UInt8>, connection: UInt32) -> Int
  mutating func runBatch<S: Stage & ~Copyable>(_ stage: inout S, _ batch: inout Batch)
  mutating func giveBack(_ batch: inout Batch)
  /// What is wrong when all is over.
  mutating func audit() -> [String]
}

struct ProvidedSource: LeaseSource, ~Copyable {
  let kernel: FakeBufferRing
  var completions: CompletionRing
  var buffers: ProvidedBuffers
  var ledger: Ledger

  init(_ layout: AreaLayout, completions capacity: UInt32, _ behaviour: FakeBufferRing.Behaviour) {
    kernel = FakeBufferRing(
      layout: layout, entryCount: ProvidedBuffers.ringEntries(for: layout) ?? 1,
      completionCapacity: capacity, behaviour: behaviour)
    completions = kernel.completions.ring()
    buffers = unsafe ProvidedBuffers(
      unsafeRing: kernel.entries, area: kernel.area.base, layout: layout,
      postLimit: layout.bufferCount)
    ledger = Ledger(layout: layout)
    publish()
  }

  var area: AreaMemory { kernel.area.memory }

  mutating func publish() {
    buffers.view.publish()
    for buffer in kernel.takeNewEntries() { ledger.posted(UInt32(buffer)) }
  }

  mutating func deliver(_ bytes: ArraySlice<UInt8>, connection: UInt32) -> Int {
    let tag = OperationTag(.receive, index: connection).rawValue
    return kernel.deliver(bytes, tag: tag) ?? 0
  }

  mutating func runBatch<S: Stage & ~Copyable>(_ stage: inout S, _ batch: inout Batch) {
    let ready = completions.available()
    for index in 0..<ready {
      let entry = unsafe completions.entry(index).pointee
      guard entry.res > 0 else { continue }
      let connection = OperationTag(rawValue: entry.user_data).index
      var walk = buffers.view.walk(
        buffer: UInt16(truncatingIfNeeded: entry.flags >> 16), bytes: UInt32(entry.res),
        more: entry.flags & UInt32(IK_CQE_F_BUF_MORE) != 0)
      repeat {
        let before = buffers.view.posted
        let (offset, length) = buffers.view.claim(&walk)
        ledger.leased(offset: offset, length: length, connection: connection, batch: batch.now)
        if buffers.view.posted < before { ledger.retired(area.layout.buffer(at: offset)) }
        let lease = Lease(offset: offset, length: length, connection: connection)
        if let released = stage.take(lease, in: &batch).take() { release(released) }
      } while walk.remaining != 0
    }
    completions.advance(ready)
  }

  mutating func release(_ offset: UInt64) {
    ledger.returned(offset)
    buffers.view.release(offset)
  }

  mutating func giveBack(_ batch: inout Batch) {
    batch.takeReturns { release($0) }
    publish()
  }

  mutating func audit() -> [String] {
    let away = buffers.view.allHome ? [] : ["not every buffer is home"]
    return kernel.violations + away + (ledger.leaks().map { [$0] } ?? [])
  }
}

struct ZeroCopySource: LeaseSource, ~Copyable {
  let kernel: FakeReceiveQueue
  var completions: CompletionRing
  var refill: RefillRing
  var waiting: [UInt64] = []

  init(_ layout: AreaLayout, completions capacity: UInt32) {
    kernel = FakeReceiveQueue(
      layout: layout, completionCapacity: capacity, refillCapacity: capacity,
      start: UInt32.max - 50)
    completions = kernel.completions.ring()
    refill = kernel.refillRing()
  }

  var area: AreaMemory { kernel.area.memory }

  mutating func deliver(_ bytes: ArraySlice<UInt8>, connection: UInt32) -> Int {
    let packet = bytes.prefix(Int(area.layout.bufferSize))
    let tag = OperationTag(.receive, index: connection).rawValue
    if kernel.deliver(packet, tag: tag) { return packet.count }
    kernel.readRefill()
    return kernel.deliver(packet, tag: tag) ? packet.count : 0
  }

  mutating func runBatch<S: Stage & ~Copyable>(_ stage: inout S, _ batch: inout Batch) {
    let ready = completions.available()
    for index in 0..<ready {
      let entry = unsafe completions.entry(index).pointee
      let lease = Lease(
        offset: entry.zcrx_offset, length: UInt32(entry.res),
        connection: OperationTag(rawValue: entry.user_data).index)
      if let released = stage.take(lease, in: &batch).take() { waiting.append(released) }
    }
    completions.advance(ready)
  }

  mutating func giveBack(_ batch: inout Batch) {
    batch.takeReturns { waiting.append($0) }
    push()
  }

  /// What does not fit waits here until the kernel has read more.
  mutating func push() {
    let room = min(Int(refill.room()), waiting.count)
    for offset in waiting.prefix(room) { refill.push(offset: offset) }
    waiting.removeFirst(room)
    refill.publish()
  }

  mutating func audit() -> [String] {
    while !waiting.isEmpty {
      kernel.readRefill()
      push()
    }
    return kernel.audit()
  }
}
