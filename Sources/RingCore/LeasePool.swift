/// Leases that a stage keeps beyond their batch, first in, first out, a bounded number of them.
///
/// Keep with ``keep(_:)``, read with ``withBytes(at:in:_:)``, give back with
/// ``giveBackOldest(in:)``. What is still in it when it goes is counted as dropped: give all of it
/// back before the receiver ends, which asks by ``Stage/pending``.
///
/// - Cost: 16 bytes per place, allocated at init; a few instructions per lease.
@frozen @safe
public struct LeasePool: ~Copyable {
  /// The most leases that it holds.
  public let capacity: Int
  @usableFromInline let places: UnsafeMutablePointer<Held>
  @usableFromInline var first = 0
  /// Leases in it.
  @usableFromInline var used = 0

  /// `capacity` above what the receiver allows (``Batch/holdLimit``) is of no use.
  public init(capacity: Int) {
    invariant(capacity > 0, "a pool of leases holds at least one")
    self.capacity = capacity
    unsafe places = UnsafeMutablePointer<Held>.allocate(capacity: capacity)
  }

  deinit {
    for index in 0..<used { _ = unsafe (places + place(index)).move() }
    unsafe places.deallocate()
  }

  @inlinable public var count: Int { used }
  @inlinable public var isEmpty: Bool { used == 0 }
  @inlinable public var isFull: Bool { used == capacity }

  /// Keeps a lease as the newest. The pool must not be full.
  @inlinable
  public mutating func keep(_ lease: consuming Lease) -> Verdict {
    invariant(used < capacity, "a pool of leases is full")
    var claim: Held?
    let verdict = lease.keep(into: &claim)
    // The place is free: claims are moved in and out, never over another.
    if let claim = claim.take() { unsafe (places + place(used)).initialize(to: claim) }
    used &+= 1
    return verdict
  }

  /// Gives the oldest lease back; false where there is none.
  @inlinable @discardableResult
  public mutating func giveBackOldest(in batch: inout Batch) -> Bool {
    guard used > 0 else { return false }
    batch.giveBack(unsafe (places + first).move())
    first = place(1)
    used &-= 1
    return true
  }

  /// The connection's slot and the length of a lease, 0 being the oldest.
  @inlinable
  public func lease(at index: Int) -> (connection: UInt32, length: UInt32) {
    invariant(index >= 0 && index < used, "a lease of this pool")
    let held = unsafe places + place(index)
    return unsafe (held.pointee.connection, held.pointee.length)
  }

  /// The bytes of a lease, 0 being the oldest; the span cannot leave the closure.
  @inlinable
  public func withBytes<R>(
    at index: Int, in batch: borrowing Batch, _ body: (RawSpan) throws -> R
  ) rethrows -> R {
    invariant(index >= 0 && index < used, "a lease of this pool")
    let held = unsafe places + place(index)
    // A claim's range lies inside the area: it was a lease.
    let start = unsafe UnsafeRawPointer(batch.area.address(of: held.pointee.offset))
    return try body(unsafe RawSpan(_unsafeStart: start, byteCount: Int(held.pointee.length)))
  }

  @inlinable
  func place(_ index: Int) -> Int {
    let place = first &+ index
    return place < capacity ? place : place &- capacity
  }
}
