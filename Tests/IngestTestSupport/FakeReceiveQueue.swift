import CIngestKernel
package import RingCore

/// The kernel's part of ZCRX on one queue, in memory: places bytes in chunks, posts completions,
/// reads the refill ring and keeps the count of user references per chunk.
///
/// Where the kernel is silent about a user's mistake (an entry too many is ignored, one too few is
/// a chunk lost), this one writes it down: see ``violations``.
@safe
package final class FakeReceiveQueue {
  package let area: FakeArea
  package let completions: FakeCompletionQueue
  package private(set) var violations: [String] = []
  /// Completions posted and refill entries read.
  package private(set) var posted = 0
  package private(set) var refilled = 0

  private let refillCapacity: UInt32
  private let refillHead = UnsafeMutablePointer<UInt32>.allocate(capacity: 1)
  private let refillTail = UnsafeMutablePointer<UInt32>.allocate(capacity: 1)
  private let refillEntries: UnsafeMutablePointer<ik_zcrx_rqe>
  private var refillPosition: UInt32
  private var references: [Int]
  private var freeChunks: [UInt32]
  /// The chunk that packets are packed into now, and how much of it is used.
  private var open: (chunk: UInt32, used: Int)?

  package init(
    layout: AreaLayout, completionCapacity: UInt32, refillCapacity: UInt32, start: UInt32 = 0
  ) {
    area = FakeArea(layout: layout)
    completions = FakeCompletionQueue(capacity: completionCapacity, start: start)
    self.refillCapacity = refillCapacity
    unsafe refillEntries = UnsafeMutablePointer<ik_zcrx_rqe>.allocate(
      capacity: Int(refillCapacity))
    unsafe refillEntries.initialize(repeating: ik_zcrx_rqe(), count: Int(refillCapacity))
    unsafe refillHead.initialize(to: start)
    unsafe refillTail.initialize(to: start)
    refillPosition = start
    references = Array(repeating: 0, count: Int(layout.bufferCount))
    freeChunks = Array((0..<layout.bufferCount).reversed())
  }

  deinit {
    unsafe refillEntries.deallocate()
    unsafe refillHead.deallocate()
    unsafe refillTail.deallocate()
  }

  /// The user's side of the refill ring; valid while this object lives.
  package func refillRing() -> RefillRing {
    unsafe RefillRing(
      unsafeHead: UnsafePointer(refillHead), tail: refillTail, entries: refillEntries,
      capacity: refillCapacity)
  }

  /// Places `bytes` (at most a chunk) and posts their completion. Packets share a chunk while they
  /// fit, unless `fresh`. False when the queue is full or no chunk is free: nothing was taken.
  package func deliver(_ bytes: ArraySlice<UInt8>, tag: UInt64, fresh: Bool = false) -> Bool {
    let size = Int(area.layout.bufferSize)
    precondition(!bytes.isEmpty && bytes.count <= size, "a packet is 1 byte to one chunk")
    guard completions.room > 0 else { return false }
    if fresh || (open.map { $0.used + bytes.count > size } ?? true) {
      guard let chunk = freeChunks.popLast() else { return false }
      closeOpenChunk()
      open = (chunk, 0)
    }
    guard let (chunk, used) = open else { return false }
    let offset = area.layout.offset(of: chunk) + UInt64(used)
    area.write(bytes, at: offset)
    open = (chunk, used + bytes.count)
    references[Int(chunk)] += 1
    posted += 1
    return completions.post(
      tag: tag, result: Int32(bytes.count), flags: UInt32(IK_CQE_F_MORE), offset: offset)
  }

  /// The end of a stream: no buffer, no more completions of this request.
  package func finish(tag: UInt64) -> Bool { completions.post(tag: tag, result: 0, flags: 0) }

  /// Reads at most `limit` refill entries, as the page pool does when it runs dry.
  package func readRefill(limit: UInt32 = 64) {
    let tail = unsafe ik_load_acquire_u32(refillTail)
    let waiting = tail &- refillPosition
    if waiting > refillCapacity {
      violations.append("\(waiting) entries in a refill ring of \(refillCapacity): overwritten")
    }
    for _ in 0..<min(waiting, refillCapacity, limit) {
      let entry = unsafe refillEntries[Int(refillPosition & (refillCapacity - 1))]
      refillPosition &+= 1
      accept(entry)
    }
    unsafe ik_store_release_u32(refillHead, refillPosition)
  }

  private func accept(_ entry: ik_zcrx_rqe) {
    if entry.pad != 0 { violations.append("a refill entry with a padding of \(entry.pad)") }
    let chunk = Int(area.layout.buffer(at: entry.off))
    guard chunk < references.count else {
      violations.append("a refill entry for offset \(entry.off), outside the area")
      return
    }
    guard references[chunk] > 0 else {
      violations.append("a refill entry too many for chunk \(chunk)")
      return
    }
    refilled += 1
    references[chunk] -= 1
    if references[chunk] == 0 && open?.chunk != UInt32(chunk) { freeChunks.append(UInt32(chunk)) }
  }

  private func closeOpenChunk() {
    guard let (chunk, _) = open else { return }
    open = nil
    // All of its claims came back while packets still went into it.
    if references[Int(chunk)] == 0 { freeChunks.append(chunk) }
  }

  /// What went wrong since the start, chunks never given back included. Empty when all is well.
  package func audit() -> [String] {
    readRefill(limit: .max)
    closeOpenChunk()
    let lost = references.enumerated().filter { $0.element > 0 }.map {
      "chunk \($0.offset) still owes \($0.element) refill entries"
    }
    let missing = references.count - freeChunks.count - lost.count
    return violations + lost + (missing == 0 ? [] : ["\(missing) chunks are nowhere"])
  }
}
