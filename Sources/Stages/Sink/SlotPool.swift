import RingCore

/// No index: the end of a list, or nothing chosen.
let noIndex = UInt32.max

/// A fixed number of plain elements with a stack of the free ones: what a sink needs per file or
/// per request, without allocation after the start. Every index is checked.
@safe
struct SlotPool<Element: BitwiseCopyable>: ~Copyable {
  let capacity: Int
  private(set) var freeCount: Int
  private let elements: UnsafeMutablePointer<Element>
  private let free: UnsafeMutablePointer<UInt32>

  init(capacity: Int, repeating element: Element) {
    invariant(capacity > 0 && capacity < Int(noIndex), "a pool has elements, fewer than 2^32 - 1")
    self.capacity = capacity
    freeCount = capacity
    unsafe elements = UnsafeMutablePointer<Element>.allocate(capacity: capacity)
    unsafe elements.initialize(repeating: element, count: capacity)
    unsafe free = UnsafeMutablePointer<UInt32>.allocate(capacity: capacity)
    // The lowest index is taken first, and the one given back last is taken next: hot memory.
    for index in 0..<capacity { unsafe free[index] = UInt32(capacity - 1 - index) }
  }

  deinit {
    unsafe elements.deallocate()
    unsafe free.deallocate()
  }

  var busyCount: Int { capacity - freeCount }

  /// A free element's index, nil when all are taken. The element is as it was left.
  mutating func take() -> UInt32? {
    guard freeCount > 0 else { return nil }
    freeCount -= 1
    return unsafe free[freeCount]
  }

  mutating func give(_ index: UInt32) {
    invariant(freeCount < capacity, "an element is given back once")
    unsafe free[freeCount] = index
    freeCount += 1
  }

  subscript(_ index: UInt32) -> Element {
    @inline(__always) get {
      invariant(Int(index) < capacity, "an index of this pool")
      return unsafe elements[Int(index)]
    }
    @inline(__always) nonmutating _modify {
      invariant(Int(index) < capacity, "an index of this pool")
      yield unsafe &elements[Int(index)]
    }
  }
}

/// Leases held until their writes completed, each with the number of requests that read it.
///
/// A claim is moved into its place and out of it, never over another: nothing here can drop one.
@safe
struct HeldLeases: ~Copyable {
  private var readers: SlotPool<UInt32>
  /// Places with readers hold a claim, once their lease was kept.
  private let held: UnsafeMutablePointer<Held>

  init(capacity: Int) {
    readers = SlotPool(capacity: capacity, repeating: 0)
    unsafe held = UnsafeMutablePointer<Held>.allocate(capacity: capacity)
  }

  /// Claims that are still out when a run was aborted go with the engine's ring.
  deinit { unsafe held.deallocate() }

  /// Places reserved for a lease, whether it was kept yet or not.
  var count: Int { readers.busyCount }

  /// A place for the lease that is being handled; nil when none may be held.
  mutating func reserve(in batch: borrowing Batch) -> UInt32? {
    // Every held lease may come back within one batch, after those that already did.
    guard count + batch.returnCount < batch.holdLimit, let index = readers.take() else {
      return nil
    }
    readers[index] = 0
    return index
  }

  /// Undoes ``reserve(in:)`` for a lease that was not kept.
  mutating func cancel(_ index: UInt32) { readers.give(index) }

  mutating func addReader(_ index: UInt32) { readers[index] += 1 }

  func isRead(_ index: UInt32) -> Bool { readers[index] > 0 }

  mutating func keep(_ lease: consuming Lease, at index: UInt32) -> Verdict {
    invariant(isRead(index), "only a lease with readers is kept")
    var claim: Held?
    let verdict = lease.keep(into: &claim)
    // The readers' check says that the index is inside; the place is empty, since a place is
    // reserved once until its claim went back.
    if let claim = claim.take() { unsafe (held + Int(index)).initialize(to: claim) }
    return verdict
  }

  /// Takes a reader back from a lease that was not kept yet.
  mutating func removeEarlyReader(_ index: UInt32) {
    invariant(readers[index] > 0, "a lease in hand has the reader that is taken back")
    readers[index] -= 1
  }

  /// One request is through with the lease; the last one gives it back.
  mutating func removeReader(_ index: UInt32, in batch: inout Batch) {
    invariant(readers[index] > 0, "a held lease has a reader")
    readers[index] -= 1
    guard readers[index] == 0 else { return }
    // Requests go to the kernel after their lease was kept, so it was.
    batch.giveBack(unsafe (held + Int(index)).move())
    readers.give(index)
  }
}
