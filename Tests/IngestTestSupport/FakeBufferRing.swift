package import CIngestKernel
import Glibc
package import RingCore

/// The kernel's part of multishot receive into a provided-buffer ring, in memory: takes buffers
/// from the ring in order, fills them and posts completions. Bundles and incremental consumption
/// (IOU_PBUF_RING_INC) work as in Linux 6.15 and later.
@safe
package final class FakeBufferRing {
  /// What this kernel offers.
  package struct Behaviour: Sendable, CaseIterable, Hashable {
    package var bundles: Bool
    package var incremental: Bool

    package init(bundles: Bool, incremental: Bool) {
      self.bundles = bundles
      self.incremental = incremental
    }

    package static let allCases = [
      Behaviour(bundles: false, incremental: false), Behaviour(bundles: true, incremental: false),
      Behaviour(bundles: false, incremental: true), Behaviour(bundles: true, incremental: true),
    ]
  }

  package let area: FakeArea
  package let completions: FakeCompletionQueue
  package let behaviour: Behaviour
  package let entryCount: UInt32
  /// The memory of the ring, for the owner's side. Entry 0 carries the tail at byte 14.
  package let entries: UnsafeMutablePointer<ik_buf>
  package private(set) var violations: [String] = []
  private var head: UInt16 = 0
  /// Which buffers the kernel may write: posted, and not yet finished.
  private var kernels: Set<UInt16> = []
  private var seenTail: UInt16 = 0

  package init(
    layout: AreaLayout, entryCount: UInt32, completionCapacity: UInt32, behaviour: Behaviour
  ) {
    precondition(entryCount > 0 && entryCount & (entryCount - 1) == 0 && entryCount <= 32768)
    area = FakeArea(layout: layout)
    completions = FakeCompletionQueue(capacity: completionCapacity)
    self.behaviour = behaviour
    self.entryCount = entryCount
    let raw = UnsafeMutableRawPointer.allocate(byteCount: Int(entryCount) * 16, alignment: 4096)
    unsafe entries = raw.initializeMemory(
      as: ik_buf.self, repeating: ik_buf(), count: Int(entryCount))
  }

  deinit { unsafe entries.deallocate() }

  /// Buffers in the ring that can be filled now.
  package var ready: Int {
    takeNewEntries()
    return Int(seenTail &- head)
  }

  /// How many bytes the next completion can take.
  package var capacityOfNext: Int {
    let count = behaviour.bundles ? min(ready, 256) : min(ready, 1)
    return (0..<count).reduce(0) { $0 + Int(entry(head &+ UInt16($1)).len) }
  }

  /// Fills buffers with a prefix of `bytes` and posts one completion for it. Returns how many bytes
  /// were taken: fewer than given when the buffers end, 0 with -ENOBUFS posted (and the request
  /// ended) when the ring is empty. Nil when the completion queue is full.
  package func deliver(_ bytes: ArraySlice<UInt8>, tag: UInt64) -> Int? {
    precondition(!bytes.isEmpty, "a completion of no bytes is the end of a stream")
    guard completions.room > 0 else { return nil }
    let total = min(capacityOfNext, bytes.count)
    guard total > 0 else {
      _ = completions.post(tag: tag, result: -Int32(ENOBUFS), flags: 0)
      return 0
    }
    let first = entry(head).bid
    var rest = bytes.prefix(total)
    var more = false
    while !rest.isEmpty {
      let taken = min(rest.count, Int(entry(head).len))
      more = fill(rest.prefix(taken))
      rest = rest.dropFirst(taken)
    }
    var flags = UInt32(IK_CQE_F_BUFFER) | UInt32(IK_CQE_F_MORE) | UInt32(first) << 16
    if more { flags |= UInt32(IK_CQE_F_BUF_MORE) }
    _ = completions.post(tag: tag, result: Int32(total), flags: flags)
    return total
  }

  package func finish(tag: UInt64) -> Bool { completions.post(tag: tag, result: 0, flags: 0) }

  /// Writes into the buffer at the head. Returns whether the kernel keeps it.
  private func fill(_ bytes: ArraySlice<UInt8>) -> Bool {
    let slot = Int(head & UInt16(truncatingIfNeeded: entryCount - 1))
    let offset = unsafe UInt64(entries[slot].addr) - UInt64(UInt(bitPattern: area.base))
    area.write(bytes, at: offset)
    let left = unsafe entries[slot].len - UInt32(bytes.count)
    if behaviour.incremental {
      // io_kbuf_inc_commit moves the entry itself along.
      unsafe entries[slot].addr += UInt64(bytes.count)
      unsafe entries[slot].len = left
      if left > 0 { return true }
    }
    unsafe kernels.remove(entries[slot].bid)
    head &+= 1
    return false
  }

  private func entry(_ position: UInt16) -> ik_buf {
    unsafe entries[Int(position & UInt16(truncatingIfNeeded: entryCount - 1))]
  }

  /// Looks at what the owner has added since, checks it as it comes and returns its buffers.
  @discardableResult
  package func takeNewEntries() -> [UInt16] {
    // resv of entry 0 is the tail (kernel: io_uring_buf_ring.tail).
    let tail = unsafe ik_load_acquire_u16(&entries[0].resv)
    if Int(tail &- head) > Int(entryCount) {
      violations.append("\(tail &- head) buffers in a ring of \(entryCount): overwritten")
    }
    var added: [UInt16] = []
    while seenTail != tail {
      let entry = entry(seenTail)
      check(entry)
      added.append(entry.bid)
      seenTail &+= 1
    }
    return added
  }

  private func check(_ entry: ik_buf) {
    let offset = unsafe entry.addr &- UInt64(UInt(bitPattern: area.base))
    let size = UInt64(area.layout.bufferSize)
    if UInt32(entry.bid) >= area.layout.bufferCount
      || offset != area.layout.offset(of: UInt32(entry.bid)) || UInt64(entry.len) != size
    {
      violations.append("buffer \(entry.bid): offset \(offset), \(entry.len) bytes")
    }
    if !kernels.insert(entry.bid).inserted {
      violations.append("buffer \(entry.bid) was given back twice")
    }
  }

  /// Buffers that the kernel has now, a partly consumed one included.
  package var kernelBuffers: Int {
    takeNewEntries()
    return kernels.count
  }
}
