public import CIngestKernel

/// A handle on a ring's submission queue, for the ring's own thread. Copies name the same queue.
@frozen @safe
public struct SubmissionQueue {
  @usableFromInline let ring: UnsafeMutablePointer<io_uring>

  /// `ring` must be set up and outlive every use of this handle.
  @inlinable @unsafe
  public init(unsafeRing ring: UnsafeMutablePointer<io_uring>) { unsafe self.ring = ring }

  /// The next request to fill in, zeroed; nil when the queue is full until the next enter.
  /// What is filled in is submitted with the next enter, so it must be complete by then.
  @inlinable @inline(__always) @unsafe
  public func next() -> UnsafeMutablePointer<io_uring_sqe>? { unsafe ik_sq_next(ring) }

  /// Requests that can be claimed before the next enter: one acquire.
  @inlinable @inline(__always)
  package func room() -> UInt32 { unsafe ik_sq_room(ring) }

  /// The next request where ``room()`` said that there is one. It holds what it held the last time,
  /// at first zeroes.
  @inlinable @inline(__always) @unsafe
  package func claim() -> UnsafeMutablePointer<io_uring_sqe> { unsafe ik_sq_claim(ring) }

  /// What ``claim()`` needs, by value, for a loop that claims several. Between getting and setting
  /// it nothing else may claim.
  @inlinable @inline(__always)
  package var view: View {
    get {
      unsafe View(
        entries: ring.pointee.sq.sqes, mask: ring.pointee.sq.kring_mask.pointee,
        tail: ring.pointee.sq.sqe_tail)
    }
    nonmutating set { unsafe ring.pointee.sq.sqe_tail = newValue.tail }
  }

  @frozen @safe @usableFromInline
  package struct View {
    @usableFromInline let entries: UnsafeMutablePointer<io_uring_sqe>
    @usableFromInline let mask: UInt32
    @usableFromInline var tail: UInt32

    @inlinable @inline(__always)
    init(entries: UnsafeMutablePointer<io_uring_sqe>, mask: UInt32, tail: UInt32) {
      unsafe self.entries = entries
      self.mask = mask
      self.tail = tail
    }

    /// ``SubmissionQueue/claim()``.
    @inlinable @inline(__always) @unsafe
    package mutating func claim() -> UnsafeMutablePointer<io_uring_sqe> {
      let entry = unsafe entries + Int(tail & mask)
      tail &+= 1
      return unsafe entry
    }
  }
}

/// Who a completion is for: the kind in the top byte, a 24-bit generation against late answers to
/// a slot used again, and an index.
@frozen
public struct OperationTag: Equatable, BitwiseCopyable, Sendable {
  public let rawValue: UInt64

  @inlinable @inline(__always)
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  @inlinable @inline(__always)
  public init(_ kind: Kind, generation: UInt32 = 0, index: UInt32) {
    rawValue =
      UInt64(kind.rawValue) &<< 56 | UInt64(generation & 0xff_ffff) &<< 32 | UInt64(index)
  }

  /// What the completion answers.
  @frozen
  public enum Kind: UInt8, Sendable {
    case receive = 1
    case accept, cancel, close, wake
    /// A request of the sink's; the index is the sink's own.
    case stage
    case send
    /// An event of a ZCRX interface queue; the result is its number.
    case event
  }

  @inlinable @inline(__always)
  public var kindByte: UInt8 { UInt8(truncatingIfNeeded: rawValue &>> 56) }
  @inlinable @inline(__always)
  public var generation: UInt32 { UInt32(truncatingIfNeeded: rawValue &>> 32) & 0xff_ffff }
  @inlinable @inline(__always)
  public var index: UInt32 { UInt32(truncatingIfNeeded: rawValue) }
}
