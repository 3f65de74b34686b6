import Synchronization

/// The way claims go back to a ZCRX interface queue: its refill ring, and an owner-side list for
/// what has no room there.
///
/// The kernel reads the refill ring only when it wants buffers, so the ring may be full for as long
/// as it likes; an entry written over is a buffer lost (``RefillRing``). Claims wait in the list
/// instead, and ``batchLimit`` takes no more completions than the list could bear.
///
/// With a ``RefillLock``, several rings share one interface queue (ZCRX_REG_IMPORT): then every
/// claim goes through the list, and ``settle()`` writes the ring under the lock, once a batch.
///
/// - Cost: 8 bytes per place in the list; no allocation after `init`.
@safe
public struct RefillQueue: ~Copyable {
  /// The working copy: take it out, use it for a batch, put it back.
  public var view: View
  private let lock: RefillLock?
  /// Leases that stages may hold: each still needs a place when it comes back.
  private let reserve: UInt32

  /// All of it as plain words, so that a loop can hold it in registers.
  @frozen @safe
  public struct View: BitwiseCopyable {
    @usableFromInline var ring: RefillRing
    /// Where the ring is full, as far as this batch knows.
    @usableFromInline var limit: UInt32 = 0
    @usableFromInline let list: UnsafeMutablePointer<UInt64>
    @usableFromInline var listed: UInt32 = 0
    @usableFromInline let capacity: UInt32
    public let layout: AreaLayout
    @usableFromInline let byteCount: UInt64
    #if DEBUG
      /// Follows every claim in debug builds, and ends the process when one is doubled.
      @usableFromInline let ledger: UnsafeMutablePointer<Ledger>
      /// The batch that new claims are noted under.
      public var batch: UInt64 = 0
    #endif

    @unsafe
    init(ring: RefillRing, list: UnsafeMutablePointer<UInt64>, capacity: UInt32, layout: AreaLayout)
    {
      self.ring = ring
      unsafe self.list = list
      self.capacity = capacity
      self.layout = layout
      byteCount = UInt64(layout.byteCount)
      #if DEBUG
        unsafe ledger = UnsafeMutablePointer<Ledger>.allocate(capacity: 1)
        unsafe ledger.initialize(to: Ledger(layout: layout))
        // A buffer of the NIC's never leaves the kernel: its claims come and go.
        for buffer in 0..<layout.bufferCount { unsafe ledger.pointee.posted(buffer) }
      #endif
    }
  }

  /// `ring` is the refill ring of an interface queue over an area of this layout. `batch` is the
  /// most completions that one batch may bring, `holdLimit` the most leases that may be held.
  public init(
    ring: RefillRing, layout: AreaLayout, batch: UInt32, holdLimit: UInt32,
    lock: RefillLock? = nil
  ) {
    let capacity = batch + holdLimit
    let list = UnsafeMutablePointer<UInt64>.allocate(capacity: Int(capacity))
    unsafe list.initialize(repeating: 0, count: Int(capacity))
    unsafe view = View(ring: ring, list: list, capacity: capacity, layout: layout)
    reserve = holdLimit
    self.lock = lock
  }

  deinit {
    unsafe view.list.deallocate()
    #if DEBUG
      unsafe view.ledger.deinitialize(count: 1)
      unsafe view.ledger.deallocate()
    #endif
  }

  /// Completions that may be taken now: each owes a refill entry, which must find a place.
  public var batchLimit: UInt32 {
    let places = view.capacity &- reserve
    return places &- min(view.listed, places)
  }

  /// Claims that found no room in the refill ring.
  public var waiting: UInt32 { view.listed }

  /// Entries that the kernel has not read yet.
  public var unread: UInt32 { view.ring.capacity &- view.ring.room() }

  /// Entries of the refill ring.
  public var ringCapacity: UInt32 { view.ring.capacity }

  /// Starts a batch: looks once how much room there is.
  public mutating func beginBatch() -> View {
    view.limit = view.ring.position &+ (lock == nil ? view.ring.room() : 0)
    return view
  }

  /// Ends a batch: publishes what was pushed, moves what waits into the ring where there is room.
  /// True when nothing waits any more.
  public mutating func settle() -> Bool {
    guard let lock else {
      moveListed()
      view.ring.publish()
      return view.listed == 0
    }
    if view.listed == 0 { return true }
    lock.held.withLock { _ in
      view.ring.reload()
      moveListed()
      view.ring.publish()
    }
    return view.listed == 0
  }

  /// The order of return is free, so the newest go first.
  private mutating func moveListed() {
    var room = min(view.listed, view.ring.room())
    while room > 0 {
      view.listed -= 1
      view.ring.push(offset: unsafe view.list[Int(view.listed)])
      room -= 1
    }
  }

  #if DEBUG
    /// What is still out, in words; nil when nothing is.
    public func leaks() -> String? { unsafe view.ledger.pointee.leaks() }
    public var outstanding: Int { unsafe view.ledger.pointee.outstanding }
  #endif
}

extension RefillQueue.View {
  /// Claims that came back, modulo 2^32: a difference of two is how many did meanwhile. On a ring
  /// under a ``RefillLock`` those of its other producers are among them.
  @inlinable public var returned: UInt32 { ring.position &+ listed }

  /// Notes one completion's claim. The kernel's word is checked here: what a lease names lies in
  /// the area.
  @inlinable @inline(__always)
  public mutating func claim(offset: UInt64, length: UInt32, connection: UInt32) -> Lease {
    invariant(
      (offset & AreaLayout.offsetMask) &+ UInt64(length) <= byteCount,
      "a completion reaches beyond the area")
    #if DEBUG
      unsafe ledger.pointee.leased(
        offset: offset, length: length, connection: connection, batch: batch)
    #endif
    return Lease(offset: offset, length: length, connection: connection)
  }

  /// Gives one claim up: exactly one refill entry for one completion.
  @inlinable @inline(__always)
  public mutating func release(_ offset: UInt64) {
    #if DEBUG
      unsafe ledger.pointee.returned(offset)
    #endif
    if ring.position != limit {
      ring.push(offset: offset)
    } else {
      invariant(listed < capacity, "more claims came back than were out")
      unsafe list[Int(listed)] = offset
      listed &+= 1
    }
  }
}

/// Orders the writers of one refill ring: the kernel does not (Linux 7.2, io_uring/zcrx.c).
public final class RefillLock: Sendable {
  let held = Mutex<Void>(())

  public init() {}
}
