import CIngestKernel
import Glibc
package import RingCore

/// Page-aligned memory in the shape of an area.
@safe
package final class FakeArea {
  package let layout: AreaLayout
  package let base: UnsafeMutableRawPointer
  /// The memory for another process to map; -1 where it is this one's alone.
  package let descriptor: Int32

  package init(layout: AreaLayout) {
    self.layout = layout
    descriptor = -1
    unsafe base = UnsafeMutableRawPointer.allocate(byteCount: layout.byteCount, alignment: 4096)
    unsafe base.initializeMemory(as: UInt8.self, repeating: 0xa5, count: layout.byteCount)
  }

  /// Memory of a memfd; nil when the kernel gives none.
  package init?(shared layout: AreaLayout) {
    let memfd = ik_memfd(layout.byteCount, 0)
    guard memfd >= 0 else { return nil }
    let mapped = unsafe mmap(
      nil, layout.byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0)
    descriptor = ik_memfd_share(memfd)
    close(memfd)
    guard descriptor >= 0, let base = unsafe mapped, unsafe base != MAP_FAILED else { return nil }
    self.layout = layout
    unsafe self.base = base
    unsafe base.initializeMemory(as: UInt8.self, repeating: 0xa5, count: layout.byteCount)
  }

  deinit {
    guard descriptor >= 0 else { return unsafe base.deallocate() }
    unsafe munmap(base, layout.byteCount)
    close(descriptor)
  }

  /// A view for stages; valid while this object lives.
  package var memory: AreaMemory { unsafe AreaMemory(unsafeBase: base, layout: layout) }

  package func write(_ bytes: ArraySlice<UInt8>, at offset: UInt64) {
    precondition(Int(offset) + bytes.count <= layout.byteCount, "a write outside the area")
    unsafe bytes.withUnsafeBytes { source in
      unsafe UnsafeMutableRawBufferPointer(start: base + Int(offset), count: source.count)
        .copyMemory(from: source)
    }
  }

  package func read(at offset: UInt64, count: Int) -> [UInt8] {
    precondition(Int(offset) + count <= layout.byteCount, "a read outside the area")
    return unsafe Array(UnsafeRawBufferPointer(start: base + Int(offset), count: count))
  }
}

/// The producer's side of a completion queue of 32-byte entries: what the kernel does.
@safe
package final class FakeCompletionQueue {
  package let capacity: UInt32
  private let head = UnsafeMutablePointer<UInt32>.allocate(capacity: 1)
  private let tail = UnsafeMutablePointer<UInt32>.allocate(capacity: 1)
  private let entries: UnsafeMutablePointer<ik_cqe>
  private let mask = UnsafeMutablePointer<UInt32>.allocate(capacity: 1)
  private var position: UInt32

  /// `start` is the value of both words at the start, to test their wrapping.
  package init(capacity: UInt32, start: UInt32 = 0) {
    self.capacity = capacity
    unsafe entries = UnsafeMutablePointer<ik_cqe>.allocate(capacity: Int(capacity))
    unsafe entries.initialize(repeating: ik_cqe(), count: Int(capacity))
    unsafe head.initialize(to: start)
    unsafe tail.initialize(to: start)
    unsafe mask.initialize(to: capacity - 1)
    position = start
  }

  /// Enters the queue in a ring's description.
  @unsafe
  func describe(_ ring: UnsafeMutablePointer<io_uring>) {
    unsafe ring.pointee.cq.khead = head
    unsafe ring.pointee.cq.ktail = tail
    unsafe ring.pointee.cq.kring_mask = mask
    unsafe ring.pointee.cq.cqes = UnsafeMutableRawPointer(entries)
      .assumingMemoryBound(to: io_uring_cqe.self)
  }

  package var isEmpty: Bool { room == capacity }

  deinit {
    unsafe entries.deallocate()
    unsafe head.deallocate()
    unsafe tail.deallocate()
    unsafe mask.deallocate()
  }

  /// The consumer's view; valid while this object lives.
  package func ring() -> CompletionRing {
    unsafe CompletionRing(
      unsafeHead: head, tail: UnsafePointer(tail), entries: UnsafePointer(entries),
      capacity: capacity)
  }

  package var room: UInt32 { capacity &- (position &- (unsafe ik_load_acquire_u32(head))) }

  /// Posts one completion; false when the queue is full (the kernel would keep it back).
  package func post(tag: UInt64, result: Int32, flags: UInt32, offset: UInt64 = 0) -> Bool {
    guard room > 0 else { return false }
    unsafe entries[Int(position & (capacity - 1))] = ik_cqe(
      user_data: tag, res: result, flags: flags, zcrx_offset: offset, zcrx_pad: 0)
    position &+= 1
    unsafe ik_store_release_u32(tail, position)
    return true
  }
}
