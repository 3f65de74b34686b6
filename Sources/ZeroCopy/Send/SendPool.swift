public import RingCore

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
