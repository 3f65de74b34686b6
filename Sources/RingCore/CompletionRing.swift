public import CIngestKernel

/// The consumer's side of a completion queue of 32-byte entries (IORING_SETUP_CQE32), as every ring
/// that receives has it.
public typealias CompletionRing = CompletionQueue<ik_cqe>

/// The consumer's side of a completion queue, whose entries have 16 bytes or 32.
///
/// One batch is: one ``available()`` (the acquire), reads of ``entry(_:)``, one ``advance(_:)``
/// (the release). The memory is the kernel's, or a test's fake kernel's; this view owns nothing
/// and must not outlive the ring.
///
/// Protocol: man io_uring(7), "Completion queue"; the release of the head gives the slots back.
@frozen @safe
public struct CompletionQueue<Entry: BitwiseCopyable> {
  @usableFromInline let head: UnsafeMutablePointer<UInt32>
  @usableFromInline let tail: UnsafePointer<UInt32>
  @usableFromInline let entries: UnsafePointer<Entry>
  @usableFromInline let mask: UInt32
  /// The consumer's own copy of the head: nobody else writes it.
  @usableFromInline var position: UInt32

  /// `entries` holds `capacity` (a power of two) completions; `head` and `tail` are the words
  /// shared with the producer.
  @inlinable @unsafe
  public init(
    unsafeHead head: UnsafeMutablePointer<UInt32>, tail: UnsafePointer<UInt32>,
    entries: UnsafePointer<Entry>, capacity: UInt32
  ) {
    invariant(capacity > 0 && capacity & (capacity - 1) == 0, "CQ size is a power of two")
    unsafe self.head = head
    unsafe self.tail = tail
    unsafe self.entries = entries
    self.mask = capacity - 1
    unsafe self.position = head.pointee
  }

  @inlinable public var capacity: UInt32 { mask &+ 1 }

  /// Completions ready to be read.
  @inlinable @inline(__always)
  public func available() -> UInt32 { unsafe ik_load_acquire_u32(tail) &- position }

  /// The `index`-th completion of the batch; `index` < ``available()``.
  @inlinable @inline(__always) @unsafe
  public func entry(_ index: UInt32) -> UnsafePointer<Entry> {
    unsafe entries + Int((position &+ index) & mask)
  }

  /// Gives `count` completions back to the producer.
  @inlinable @inline(__always)
  public mutating func advance(_ count: UInt32) {
    position &+= count
    unsafe ik_store_release_u32(head, position)
  }
}
