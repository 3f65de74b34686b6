public import CIngestKernel

/// The owner's side of a provided-buffer ring: which buffer of an area lies where in the ring, who
/// claims it, and which are free.
///
/// The kernel takes buffers in ring order. A completion names the first one it filled; a bundle
/// goes on into the following ones, an incremental ring leaves the last one where it is (BUF_MORE).
/// A buffer is claimed once by the kernel while it is in the ring and once by each lease; with the
/// last claim gone it is free again. Free buffers are used last-in first-out, so that a lightly
/// loaded area stays in cache however large it is.
///
/// Kernel side: man io_uring_register_buf_ring(3); Linux io_uring/kbuf.c.
///
/// - Cost: 12 bytes per buffer besides the ring; no allocation after `init`.
@safe
public struct ProvidedBuffers: ~Copyable {
  /// The working copy: take it out, use it for a batch, put it back.
  public var view: View

  /// All of the bookkeeping as plain words, so that a loop can hold it in registers.
  @frozen @safe
  public struct View: BitwiseCopyable {
    @usableFromInline let ring: UnsafeMutablePointer<ik_buf>
    @usableFromInline let base: UInt64
    /// Ring slot -> buffer, and buffer -> ring slot.
    @usableFromInline let order: UnsafeMutablePointer<UInt16>
    @usableFromInline let slot: UnsafeMutablePointer<UInt16>
    @usableFromInline let claims: UnsafeMutablePointer<UInt32>
    /// Bytes the kernel has consumed of a buffer that is still in the ring.
    @usableFromInline let used: UnsafeMutablePointer<UInt32>
    @usableFromInline let free: UnsafeMutablePointer<UInt16>
    public let layout: AreaLayout
    @usableFromInline let mask: UInt32
    @usableFromInline let postLimit: UInt32
    @usableFromInline var tail: UInt32
    @usableFromInline var inRing: UInt32
    @usableFromInline var freeTop: UInt32
    #if DEBUG
      /// Follows every buffer in debug builds, and ends the process when one is lost or doubled.
      @usableFromInline let ledger: UnsafeMutablePointer<Ledger>
      /// The batch that new claims are noted under.
      public var batch: UInt64 = 0
    #endif

    @usableFromInline @unsafe
    init(
      ring: UnsafeMutablePointer<ik_buf>, base: UInt64, order: UnsafeMutablePointer<UInt16>,
      slot: UnsafeMutablePointer<UInt16>, claims: UnsafeMutablePointer<UInt32>,
      used: UnsafeMutablePointer<UInt32>, free: UnsafeMutablePointer<UInt16>, layout: AreaLayout,
      mask: UInt32, postLimit: UInt32
    ) {
      unsafe (self.ring, self.order, self.slot) = (ring, order, slot)
      unsafe (self.claims, self.used, self.free) = (claims, used, free)
      self.base = base
      self.layout = layout
      self.mask = mask
      self.postLimit = postLimit
      tail = 0
      inRing = 0
      freeTop = layout.bufferCount
      #if DEBUG
        unsafe ledger = UnsafeMutablePointer<Ledger>.allocate(capacity: 1)
        unsafe ledger.initialize(to: Ledger(layout: layout))
      #endif
    }

    /// Whether ``publish()`` would put a buffer into the ring.
    @inlinable @inline(__always)
    public var wantsPublish: Bool { freeTop != 0 && inRing < postLimit }

    /// Buffers in the ring, and buffers that nobody claims.
    @inlinable @inline(__always) public var posted: UInt32 { inRing }
    @inlinable @inline(__always) public var freeCount: UInt32 { freeTop }
  }

  /// A walk over the buffers that one completion filled.
  @frozen
  public struct Walk: BitwiseCopyable {
    @usableFromInline var place: UInt32
    @usableFromInline var left: UInt32
    @usableFromInline let more: Bool
    /// Only the ledger of debug builds asks.
    @usableFromInline let connection: UInt32

    @inlinable @inline(__always)
    init(place: UInt32, left: UInt32, more: Bool, connection: UInt32) {
      self.place = place
      self.left = left
      self.more = more
      self.connection = connection
    }

    /// Bytes of the completion that are not claimed yet.
    @inlinable @inline(__always) public var remaining: UInt32 { left }
  }

  /// Ring entries needed for an area: a power of two, at least the number of buffers. The kernel's
  /// limit is 32768.
  public static func ringEntries(for layout: AreaLayout) -> UInt32? {
    guard layout.bufferCount <= 32768 else { return nil }
    return layout.bufferCount <= 1 ? 1 : 1 << (32 - (layout.bufferCount - 1).leadingZeroBitCount)
  }

  /// Takes over `ring`, page-aligned memory of ``ringEntries(for:)`` entries that outlives this
  /// value, and the area at `base`. At most `postLimit` buffers are in the ring at a time.
  @unsafe
  public init(
    unsafeRing ring: UnsafeMutablePointer<ik_buf>, area base: UnsafeMutableRawPointer,
    layout: AreaLayout, postLimit: UInt32
  ) {
    let entries = ProvidedBuffers.ringEntries(for: layout)
    invariant(entries != nil, "a provided-buffer ring holds at most 32768 buffers")
    let count = Int(layout.bufferCount)
    let order = UnsafeMutablePointer<UInt16>.allocate(capacity: Int(entries!))
    let slot = UnsafeMutablePointer<UInt16>.allocate(capacity: count)
    let claims = UnsafeMutablePointer<UInt32>.allocate(capacity: count)
    let used = UnsafeMutablePointer<UInt32>.allocate(capacity: count)
    let free = UnsafeMutablePointer<UInt16>.allocate(capacity: count)
    unsafe order.initialize(repeating: 0, count: Int(entries!))
    unsafe slot.initialize(repeating: 0, count: count)
    unsafe claims.initialize(repeating: 0, count: count)
    unsafe used.initialize(repeating: 0, count: count)
    // The top of the stack is buffer 0.
    for index in 0..<count { unsafe free[index] = UInt16(count - 1 - index) }
    unsafe view = View(
      ring: ring, base: UInt64(UInt(bitPattern: base)), order: order, slot: slot, claims: claims,
      used: used, free: free, layout: layout, mask: entries! - 1,
      postLimit: min(postLimit, layout.bufferCount))
  }

  deinit {
    unsafe view.order.deallocate()
    unsafe view.slot.deallocate()
    unsafe view.claims.deallocate()
    unsafe view.used.deallocate()
    unsafe view.free.deallocate()
    #if DEBUG
      unsafe view.ledger.deinitialize(count: 1)
      unsafe view.ledger.deallocate()
    #endif
  }

  #if DEBUG
    /// What is still out, in words; nil when nothing is.
    public func leaks() -> String? { unsafe view.ledger.pointee.leaks() }
  #endif
}

// Every index below comes from the kernel's buffer id (checked against the layout) or from this
// bookkeeping itself, whose arrays have one element per buffer or ring slot.
extension ProvidedBuffers.View {
  /// Starts on a completion that filled `bytes` beginning with `buffer`; `more` is BUF_MORE.
  @inlinable @inline(__always)
  public func walk(
    buffer: UInt16, bytes: UInt32, more: Bool, connection: UInt32 = 0
  ) -> ProvidedBuffers.Walk {
    invariant(UInt32(buffer) < layout.bufferCount, "a buffer id of the ring")
    return ProvidedBuffers.Walk(
      place: UInt32(unsafe slot[Int(buffer)]), left: bytes, more: more, connection: connection)
  }

  /// Claims the next stretch of the walk: an offset in the area and its length.
  @inlinable @inline(__always)
  public mutating func claim(_ walk: inout ProvidedBuffers.Walk) -> (offset: UInt64, length: UInt32)
  {
    let buffer = Int(unsafe order[Int(walk.place & mask)])
    let start = unsafe used[buffer]
    let size = layout.bufferSize
    let length = min(walk.left, size &- start)
    walk.left &-= length
    walk.place &+= 1
    let end = start &+ length
    #if DEBUG
      unsafe ledger.pointee.leased(
        offset: layout.offset(of: UInt32(buffer)) &+ UInt64(start), length: length,
        connection: walk.connection, batch: batch)
      if end == size || (walk.left == 0 && !walk.more) {
        unsafe ledger.pointee.retired(UInt32(buffer))
      }
    #endif
    if end == size || (walk.left == 0 && !walk.more) {
      // The kernel is through with the buffer: its claim becomes the lease's.
      unsafe used[buffer] = 0
      inRing &-= 1
    } else {
      unsafe used[buffer] = end
      unsafe claims[buffer] &+= 1
    }
    return (layout.offset(of: UInt32(truncatingIfNeeded: buffer)) &+ UInt64(start), length)
  }

  /// Gives one claim on the buffer at `offset` up.
  @inlinable @inline(__always)
  public mutating func release(_ offset: UInt64) {
    invariant(layout.buffer(at: offset) < layout.bufferCount, "an offset of the area")
    release(claimed: offset)
  }

  /// The same for what ``claim(_:)`` gave in this batch, which need not be looked at again.
  @inlinable @inline(__always)
  public mutating func release(claimed offset: UInt64) {
    #if DEBUG
      unsafe ledger.pointee.returned(offset)
    #endif
    drop(layout.buffer(at: offset))
  }

  @inlinable @inline(__always)
  mutating func drop(_ buffer: UInt32) {
    let left = unsafe claims[Int(buffer)] &- 1
    invariant(left != .max, "a buffer was given back twice")
    unsafe claims[Int(buffer)] = left
    if left == 0 {
      unsafe free[Int(freeTop)] = UInt16(truncatingIfNeeded: buffer)
      freeTop &+= 1
    }
  }

  /// Takes back a buffer that the kernel consumed without filling it (an ended receive).
  public mutating func retireEmpty(buffer: UInt16) {
    invariant(UInt32(buffer) < layout.bufferCount, "a buffer id of the ring")
    #if DEBUG
      unsafe ledger.pointee.retired(UInt32(buffer))
    #endif
    unsafe used[Int(buffer)] = 0
    inRing &-= 1
    drop(UInt32(buffer))
  }

  /// Puts free buffers into the ring and makes them visible to the kernel with one release.
  @inlinable @inline(__always)
  public mutating func publish() {
    if freeTop == 0 || inRing >= postLimit { return }
    repeat {
      freeTop &-= 1
      let buffer = unsafe free[Int(freeTop)]
      let place = tail & mask
      // Field by field: the ring's tail lies in the reserved bytes of entry 0.
      let entry = unsafe ring + Int(place)
      unsafe entry.pointee.addr = base &+ layout.offset(of: UInt32(buffer))
      unsafe entry.pointee.len = layout.bufferSize
      unsafe entry.pointee.bid = buffer
      unsafe order[Int(place)] = buffer
      unsafe slot[Int(buffer)] = UInt16(truncatingIfNeeded: place)
      unsafe claims[Int(buffer)] = 1
      #if DEBUG
        unsafe ledger.pointee.posted(UInt32(buffer))
      #endif
      tail &+= 1
      inRing &+= 1
    } while freeTop != 0 && inRing < postLimit
    let word = unsafe UnsafeMutableRawPointer(ring).advanced(by: 14)
      .assumingMemoryBound(to: UInt16.self)
    unsafe ik_store_release_u16(word, UInt16(truncatingIfNeeded: tail))
  }

  /// Whether every buffer is either free or with the kernel and untouched: no lease is out.
  public var allHome: Bool {
    var out: UInt64 = 0
    for buffer in 0..<Int(layout.bufferCount) { out += UInt64(unsafe claims[buffer]) }
    return out == UInt64(posted) && freeCount + posted == layout.bufferCount
  }
}
