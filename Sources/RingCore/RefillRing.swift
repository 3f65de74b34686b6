public import CIngestKernel

/// The producer's side of a ZCRX refill queue: claims given back to the NIC's page pool.
///
/// Exactly one entry per data completion, and never more than ``room()``: an overwritten entry is a
/// chunk lost until the ring closes (Linux 7.2, io_uring/zcrx.c, zcrx_rq_entries clamps silently).
/// Entries become visible with ``publish()``, once a batch. One thread only.
@frozen @safe
public struct RefillRing {
  @usableFromInline package let head: UnsafePointer<UInt32>
  @usableFromInline package let tail: UnsafeMutablePointer<UInt32>
  @usableFromInline package let entries: UnsafeMutablePointer<ik_zcrx_rqe>
  @usableFromInline let mask: UInt32
  @usableFromInline var position: UInt32

  /// `entries` holds `capacity` (a power of two) refill entries. Whatever is not their offset is
  /// zero, and stays so.
  @inlinable @unsafe
  public init(
    unsafeHead head: UnsafePointer<UInt32>, tail: UnsafeMutablePointer<UInt32>,
    entries: UnsafeMutablePointer<ik_zcrx_rqe>, capacity: UInt32
  ) {
    invariant(capacity > 0 && capacity & (capacity - 1) == 0, "refill size is a power of two")
    unsafe self.head = head
    unsafe self.tail = tail
    unsafe self.entries = entries
    self.mask = capacity - 1
    unsafe self.position = tail.pointee
  }

  @inlinable public var capacity: UInt32 { mask &+ 1 }

  /// Entries that may be pushed now. Acquire: an entry is free only once the kernel has read it.
  @inlinable @inline(__always)
  public func room() -> UInt32 {
    capacity &- (position &- (unsafe ik_load_acquire_u32(head)))
  }

  /// Writes one entry; the caller knows from ``room()`` that there is a place.
  @inlinable @inline(__always)
  public mutating func push(offset: UInt64) {
    // The mask keeps the index inside the entries.
    let entry = unsafe entries + Int(position & mask)
    unsafe entry.pointee.off = offset
    position &+= 1
  }

  /// Goes on where another producer of the same ring ended; for a ring under a ``RefillLock``.
  mutating func reload() { unsafe position = ik_load_acquire_u32(tail) }

  @inlinable @inline(__always)
  public func publish() { unsafe ik_store_release_u32(tail, position) }
}
