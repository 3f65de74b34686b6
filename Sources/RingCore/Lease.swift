public import CIngestKernel

/// One completion's claim on a range of one buffer of an area.
///
/// Whoever receives a lease owes exactly one answer: ``done()`` gives the bytes back,
/// ``keep(into:)`` holds them beyond the batch. Both consume the lease, so answering twice does not
/// compile; a function that must return a ``Verdict`` cannot forget to answer. A lease that is
/// overwritten or abandoned all the same runs its `deinit`, which counts the drop (see
/// ``droppedLeases``); the bytes it named stay claimed until the ring closes.
///
/// The bytes are readable through ``AreaMemory/withBytes(of:_:)`` until the lease is answered.
///
/// - Cost: two registers; no allocation, no reference count.
@frozen
public struct Lease: ~Copyable {
  /// Where the bytes start in the area, in bytes from its base.
  public let offset: UInt64
  /// How many bytes, always > 0.
  public let length: UInt32
  /// The slot of the connection they came on (``Connection/slot``).
  public let connection: UInt32

  @inlinable @inline(__always)
  package init(offset: UInt64, length: UInt32, connection: UInt32) {
    self.offset = offset
    self.length = length
    self.connection = connection
  }

  @inlinable
  deinit { ik_lease_dropped(offset, length) }

  /// Gives the bytes back: the buffer may be written again once the engine has the verdict.
  @inlinable @inline(__always)
  public consuming func done() -> Verdict {
    let verdict = Verdict(released: offset)
    discard self
    return verdict
  }

  /// Holds the bytes beyond this batch. The claim moves into `slot`, which must be empty (writing
  /// over a claim would drop it), and goes back with ``Batch/giveBack(_:)``.
  @inlinable @inline(__always)
  public consuming func keep(into slot: inout Held?) -> Verdict {
    invariant(slot == nil, "a lease was to be kept where another one is")
    let verdict = Verdict(held: offset)
    slot = Held(offset: offset, length: length, connection: connection)
    discard self
    return verdict
  }
}

extension Lease {
  /// The claim goes on as plain words, which become a lease again on another thread: the words owe
  /// what the lease owed.
  @inlinable @inline(__always)
  package consuming func surrender() -> Verdict {
    let verdict = Verdict(held: offset)
    discard self
    return verdict
  }

  /// Another claim on the same bytes, for a second stage that answers for itself. The two answers
  /// become one with ``Batch/join(_:_:)``, at once.
  @inlinable @inline(__always)
  package borrowing func secondClaim() -> Lease {
    Lease(offset: offset, length: length, connection: connection)
  }
}

/// What a stage owes for a lease: given back, or held. Only a ``Lease`` makes one.
@frozen
public struct Verdict: ~Copyable {
  @usableFromInline let offset: UInt64
  /// The claim lives on in a ``Held``. A flag of its own rather than a reserved offset: where a
  /// stage never holds, the compiler sees that and drops the test.
  @usableFromInline let isHeld: Bool

  @inlinable @inline(__always)
  init(released offset: UInt64) {
    self.offset = offset
    isHeld = false
  }

  @inlinable @inline(__always)
  init(held offset: UInt64) {
    self.offset = offset
    isHeld = true
  }

  /// The offset to give back; nil when the claim is held.
  @inlinable @inline(__always)
  package consuming func take() -> UInt64? { isHeld ? nil : offset }
}

/// A claim that outlives its batch. It goes back to its engine's thread with
/// ``Batch/giveBack(_:)``; dropping one is counted like a dropped lease.
@frozen
public struct Held: ~Copyable {
  public let offset: UInt64
  public let length: UInt32
  public let connection: UInt32

  @inlinable @inline(__always)
  package init(offset: UInt64, length: UInt32, connection: UInt32) {
    self.offset = offset
    self.length = length
    self.connection = connection
  }

  @inlinable
  deinit { ik_lease_dropped(offset, length) }

  @inlinable @inline(__always)
  package consuming func release() -> UInt64 {
    let released = offset
    discard self
    return released
  }
}

/// Leases abandoned without an answer since the process started. Anything but 0 is a bug in a
/// stage: the buffers concerned are lost to the area until its ring closes.
public var droppedLeases: UInt64 { ik_lease_drops() }
