public import RingCore

/// One slot of a send pool. A request is one slot or a list of them; what concerns the request as a
/// whole stands in its first slot, the head.
@usableFromInline
struct SendSlot: BitwiseCopyable {
  @usableFromInline var standing = SendStanding(.free)
  @usableFromInline var stream: UInt32 = 0
  /// The next slot of the request or of the generation; `SendPool.none` ends it.
  @usableFromInline var next: UInt32 = SendPool.none
  /// The next request of the stream's chain.
  @usableFromInline var chained: UInt32 = SendPool.none
  @usableFromInline var length: UInt32 = 0
  @usableFromInline var records: UInt32 = 0
  /// Bytes of the whole request, and those the kernel has taken.
  @usableFromInline var total: UInt32 = 0
  @usableFromInline var sent: UInt32 = 0
  /// Bytes taken whose notification is still to come.
  @usableFromInline var unreported: UInt32 = 0
  /// For which of the slot's last 64 hand-overs notifications are to come (bit = number mod 64).
  @usableFromInline var expected: UInt64 = 0
  /// Times the slot was handed to the kernel as a head, over all its uses.
  @usableFromInline var issue: UInt32 = 0
  @usableFromInline var generation: UInt32 = SendPool.none
  /// The last hand-over was with zero-copy.
  @usableFromInline var zeroCopy = false

  @inlinable init() {}

  @inlinable @inline(__always)
  var state: State {
    get { standing.state }
    set { standing.state = newValue }
  }

  /// Notifications to come.
  @inlinable @inline(__always)
  var pending: UInt32 {
    get { standing.pending }
    set { standing.pending = newValue }
  }

  /// The kernel copied a part whose notification has come.
  @inlinable @inline(__always)
  var copied: Bool {
    get { standing.copied }
    set { standing.copied = newValue }
  }

  /// What a slot is in the middle of. A structure, for reading an enumeration out of a word costs a
  /// comparison.
  @usableFromInline
  struct State: Equatable, BitwiseCopyable {
    @usableFromInline let rawValue: UInt8
    @inlinable @inline(__always) init(rawValue: UInt8) { self.rawValue = rawValue }

    @inlinable static var free: State { State(rawValue: 0) }
    /// Being written, or waiting to be handed to the kernel (again).
    @inlinable static var filled: State { State(rawValue: 1) }
    /// The kernel has the request and has not answered.
    @inlinable static var inFlight: State { State(rawValue: 2) }
    /// Taken as a whole; the kernel may still read the bytes.
    @inlinable static var awaiting: State { State(rawValue: 3) }
    /// Answered for; held until the rest of its generation is.
    @inlinable static var answered: State { State(rawValue: 4) }
  }
}

/// How a slot stands, in one word, so that one comparison tells whether it is as it should be.
@usableFromInline
struct SendStanding: Equatable, BitwiseCopyable {
  /// The state in the lowest byte, whether a part was copied in the next, and in the upper half
  /// notifications to come.
  @usableFromInline var word: UInt32

  @inlinable @inline(__always)
  init(_ state: SendSlot.State, pending: UInt32 = 0) {
    word = UInt32(state.rawValue) | pending &<< 16
  }

  @inlinable @inline(__always)
  var state: SendSlot.State {
    get { SendSlot.State(rawValue: UInt8(truncatingIfNeeded: word)) }
    set { word = word & ~0xff | UInt32(newValue.rawValue) }
  }

  @inlinable @inline(__always)
  var copied: Bool {
    get { word & 0x100 != 0 }
    set { word = word & ~0x100 | (newValue ? 0x100 : 0) }
  }

  @inlinable @inline(__always)
  var pending: UInt32 {
    get { word &>> 16 }
    set {
      invariant(newValue <= UInt32(UInt16.max), "notifications of one request, counted in 16 bits")
      word = word & 0xffff | newValue &<< 16
    }
  }
}

/// The memory that sends read from, cut into slots, and the record of who may touch which.
///
/// A slot is writable only while the sender has it: from ``take()`` until the request is handed to
/// the kernel, and not again before the kernel's last word on it (the result of a plain send, the
/// notification of a zero-copy one). Every step is checked, in release builds too.
///
/// The memory is on base pages: TCP charges a registered buffer on a large folio to the socket by
/// the folio (io_uring/net.c, io_sg_from_iter), and one packet then fills the send buffer.
@safe @usableFromInline
package struct SendPool: ~Copyable {
  @usableFromInline static let none = UInt32.max
  /// Registered buffers are at most 1 GiB each, and the pool is registered as one.
  package static let limit = 1 << 30
  /// Two completions per slot stay below the largest completion queue (65536).
  static let slotLimit = 16384

  private let mapping: MappedMemory
  @usableFromInline let memory: UnsafeMutableRawPointer
  package var byteCount: Int { mapping.byteCount }
  @usableFromInline package let stride: Int
  /// From one slot's bytes to the next one's: the stride, or 0 where all slots share theirs.
  @usableFromInline let step: Int
  @usableFromInline package let slotCount: Int
  @usableFromInline let slots: UnsafeMutablePointer<SendSlot>
  private let groups: UnsafeMutablePointer<Group>
  @usableFromInline let groupSize: UInt32
  @usableFromInline var openGroup = SendPool.none
  private var freeGroups: UInt32 = 0
  /// The slots that may be taken, the one that came back last at the top, and how many they are.
  @usableFromInline let free: UnsafeMutablePointer<UInt32>
  @usableFromInline package var available: Int

  /// The requests of one generation: their slots go back together.
  private struct Group: BitwiseCopyable {
    var requests: UInt32 = 0
    var answered: UInt32 = 0
    var closed = false
    var head: UInt32 = SendPool.none
    var next: UInt32 = SendPool.none
  }

  /// Maps at least `minimumSlots` slots of `length` bytes in about `bytes` bytes. Small slots do
  /// not cross a page, so that a send of up to 4 KiB is one fragment; larger ones start on a page.
  ///
  /// With `shared` all slots have the same bytes, which must then never change.
  ///
  /// - Cost: one mmap(2); every page is touched. Errors: ENOMEM.
  package init(
    length: Int, bytes: Int, minimumSlots: Int, generation: Int, shared: Bool = false
  ) throws(RingError) {
    let page = 4096
    var stride = 64
    while stride < min(length, page) { stride *= 2 }
    if length > page { stride = (length + page - 1) / page * page }
    let count = min(max(bytes / stride, minimumSlots, generation, 2), SendPool.slotLimit)
    let total = stride * (shared ? 1 : count)
    let what = "a send pool of \(sizeText(total))"
    let mapping = try MappedMemory(what, byteCount: total)
    mapping.adviseHuge(false)
    try mapping.populate(what)
    let slots = UnsafeMutablePointer<SendSlot>.allocate(capacity: count)
    unsafe slots.initialize(repeating: SendSlot(), count: count)
    let groups = UnsafeMutablePointer<Group>.allocate(capacity: count)
    unsafe groups.initialize(repeating: Group(), count: count)
    for index in 0..<(count - 1) { unsafe groups[index].next = UInt32(index + 1) }
    let free = UnsafeMutablePointer<UInt32>.allocate(capacity: count)
    for index in 0..<count { unsafe free[index] = UInt32(count - 1 - index) }
    unsafe memory = mapping.base
    self.mapping = mapping
    self.stride = stride
    step = shared ? 0 : stride
    slotCount = count
    unsafe self.slots = slots
    unsafe self.groups = groups
    unsafe self.free = free
    groupSize = UInt32(clamping: max(generation, 1))
    available = count
  }

  deinit {
    unsafe slots.deallocate()
    unsafe groups.deallocate()
    unsafe free.deallocate()
  }

  /// The bytes of a slot. The pointer is valid while the pool is.
  @inlinable @inline(__always)
  func bytes(of slot: UInt32, length: Int) -> UnsafeMutableRawBufferPointer {
    invariant(Int(slot) < slotCount && length <= stride, "slot outside the send pool")
    return unsafe UnsafeMutableRawBufferPointer(start: address(of: slot), count: length)
  }

  /// Where a slot's bytes start.
  @inlinable @inline(__always)
  func address(of slot: UInt32) -> UnsafeMutableRawPointer {
    unsafe memory + Int(slot) &* step
  }

  /// Takes the slot that came back last: its lines are the likeliest to be in the cache.
  /// ``none`` when all are out. A slot that is free has no notification to come, belongs to no
  /// generation and says nothing of copies; its length, records and stream are the taker's to set.
  @inlinable @inline(__always)
  mutating func take() -> UInt32 {
    guard available > 0 else { return SendPool.none }
    let slot = view.pop()
    unsafe slots[Int(slot)].state = .filled
    return slot
  }

  /// Gives back a slot that nothing was sent from.
  @usableFromInline
  mutating func putBack(_ slot: UInt32) {
    invariant(unsafe slots[Int(slot)].state == .filled, "only an unsent slot can be put back")
    view.push(slot)
  }

  /// Enters a request into the open generation, once, before it is first handed to the kernel.
  @inlinable @inline(__always)
  mutating func enlist(_ head: UInt32) {
    if groupSize > 1 { joinGeneration(head) }
  }

  @inlinable @inline(__always)
  var hasOpenGeneration: Bool { openGroup != SendPool.none }

  @usableFromInline
  mutating func joinGeneration(_ head: UInt32) {
    if openGroup == SendPool.none {
      openGroup = freeGroups
      // There are as many groups as slots, and a live group has a slot out.
      invariant(openGroup != SendPool.none, "more generations than slots")
      unsafe freeGroups = groups[Int(openGroup)].next
      unsafe groups[Int(openGroup)] = Group()
    }
    let group = unsafe groups + Int(openGroup)
    unsafe slots[Int(head)].generation = openGroup
    unsafe group.pointee.requests += 1
    if unsafe group.pointee.requests == groupSize { closeGeneration() }
  }

  /// Lets a generation that will get no more requests go when those it has are answered.
  @usableFromInline
  mutating func closeGeneration() {
    guard openGroup != SendPool.none else { return }
    let group = openGroup
    openGroup = SendPool.none
    unsafe groups[Int(group)].closed = true
    releaseIfAnswered(group)
  }

  /// The kernel has said its last word on a request: its slots go back, at once or with their
  /// generation.
  @inline(__always)
  mutating func answer(_ head: UInt32) {
    let entry = unsafe slots + Int(head)
    invariant(
      unsafe entry.pointee.pending == 0 && entry.pointee.state == .awaiting,
      "a request is answered only once the kernel is done with its bytes")
    if unsafe entry.pointee.next == SendPool.none, unsafe entry.pointee.generation == SendPool.none
    {
      release(head)
    } else {
      answerAll(head)
    }
  }

  /// ``answer(_:)`` for a request of several slots, or one of a generation.
  @inline(never)
  private mutating func answerAll(_ head: UInt32) {
    let group = unsafe slots[Int(head)].generation
    var slot = head
    while slot != SendPool.none {
      let next = unsafe slots[Int(slot)].next
      if group == SendPool.none {
        release(slot)
      } else {
        unsafe slots[Int(slot)].generation = SendPool.none
        unsafe slots[Int(slot)].state = .answered
        unsafe slots[Int(slot)].next = groups[Int(group)].head
        unsafe groups[Int(group)].head = slot
      }
      slot = next
    }
    guard group != SendPool.none else { return }
    unsafe groups[Int(group)].answered += 1
    releaseIfAnswered(group)
  }

  private mutating func releaseIfAnswered(_ group: UInt32) {
    let entry = unsafe groups + Int(group)
    guard unsafe entry.pointee.closed, unsafe entry.pointee.answered == entry.pointee.requests
    else { return }
    var slot = unsafe entry.pointee.head
    while slot != SendPool.none {
      let next = unsafe slots[Int(slot)].next
      release(slot)
      slot = next
    }
    unsafe entry.pointee.next = freeGroups
    freeGroups = group
  }

  @inline(__always)
  mutating func release(_ slot: UInt32) {
    unsafe slots[Int(slot)].next = SendPool.none
    unsafe slots[Int(slot)].sent = 0
    view.push(slot)
  }
}

extension SendPool {
  /// The slots by value, for a loop that takes or gives back several. Between getting and setting it
  /// nothing else may do so.
  @inlinable @inline(__always)
  var view: View {
    get { unsafe View(slots: slots, free: free, available: available) }
    set { available = newValue.available }
  }

  @frozen @safe @usableFromInline
  struct View {
    @usableFromInline let slots: UnsafeMutablePointer<SendSlot>
    @usableFromInline let free: UnsafeMutablePointer<UInt32>
    @usableFromInline var available: Int

    @inlinable @inline(__always)
    init(
      slots: UnsafeMutablePointer<SendSlot>, free: UnsafeMutablePointer<UInt32>, available: Int
    ) {
      unsafe self.slots = slots
      unsafe self.free = free
      self.available = available
    }

    /// ``SendPool/take()`` where there is one; the taker sets its state.
    @inlinable @inline(__always)
    mutating func pop() -> UInt32 {
      available &-= 1
      let slot = unsafe free[available]
      invariant(
        unsafe slots[Int(slot)].standing == SendStanding(.free),
        "a send slot is used again before the kernel has let go of it")
      return slot
    }

    /// Gives back a slot that is as ``SendPool/take()`` wants a free one.
    @inlinable @inline(__always)
    mutating func push(_ slot: UInt32) {
      unsafe slots[Int(slot)].standing = SendStanding(.free)
      unsafe free[available] = slot
      available &+= 1
    }
  }
}
