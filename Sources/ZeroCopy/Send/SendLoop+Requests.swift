public import CIngestKernel
import Glibc
public import RingCore

extension SendLoop {
  /// Fills slots and prepares their requests for every stream that can take some.
  @inlinable
  mutating func prepare<Content: SendContent & ~Copyable>(
    _ content: inout Content
  ) {
    paced = false
    starved = false
    // The pool may not reach for all: each time another stream comes first.
    firstStream = firstStream &+ 1 < streamCount ? firstStream &+ 1 : 0
    for step in 0..<streamCount {
      let turn = firstStream &+ step
      let index = turn < streamCount ? turn : turn &- streamCount
      if unsafe streams[index].failure != 0 { continue }
      // A chain is extended only once it is through: what comes later must not overtake it.
      if options.ordered, unsafe streams[index].inFlight > 0 { continue }
      if single, !finishing, unsafe streams[index].chainHead == SendPool.none {
        if unsafe !streams[index].ended { sendSingle(index, &content) }
        continue
      }
      if unsafe !streams[index].ended { topUp(index, &content) }
      if unsafe streams[index].chainHead != SendPool.none { issueChain(index) }
    }
    if pool.hasOpenGeneration, finishing || allEnded() { pool.closeGeneration() }
  }

  @inlinable
  mutating func topUp<Content: SendContent & ~Copyable>(
    _ index: Int, _ content: inout Content
  ) {
    var waiting = chainLength(index) &+ Int(unsafe streams[index].inFlight)
    while waiting < options.batch {
      if options.byteRate > 0, !finishing, isAheadOfRate() {
        paced = true
        return
      }
      let head = fillSlot(index, &content)
      guard head != SendPool.none else { return noteEmptyPool() }
      if options.gather > 1 { gather(head, index, &content) }
      pool.enlist(head)
      waiting &+= 1
      // What must keep its order goes as a chain, all else at once.
      if chains || !issue(head, stream: index) { append(head, to: index) }
    }
  }

  @usableFromInline
  mutating func isAheadOfRate() -> Bool {
    Double(filledBytes) * 1e9 > Double(options.byteRate) * Double(elapsed)
  }

  /// After a slot could not be filled: one that the content had nothing for is back in the pool.
  @usableFromInline
  mutating func noteEmptyPool() {
    guard pool.available == 0 else { return }
    tally.poolWaits &+= 1
    starved = true
  }

  /// A request of one filled slot; `SendPool.none` when the content or the pool has nothing.
  @inlinable @inline(__always)
  mutating func fillSlot<Content: SendContent & ~Copyable>(
    _ index: Int, _ content: inout Content
  ) -> UInt32 {
    let slot = pool.take()
    guard slot != SendPool.none else { return slot }
    let fill = unsafe content.fill(
      stream: index, finishing: finishing,
      into: pool.bytes(of: slot, length: options.length))
    guard fill.state == .ready else {
      pool.putBack(slot)
      if fill.state == .ended { unsafe streams[index].ended = true }
      return SendPool.none
    }
    let entry = unsafe pool.slots + Int(slot)
    unsafe entry.pointee.stream = UInt32(truncatingIfNeeded: index)
    unsafe entry.pointee.length = fill.length
    unsafe entry.pointee.total = fill.length
    unsafe entry.pointee.records = fill.records
    filledBytes &+= UInt64(fill.length)
    return slot
  }

  /// Adds slots to a request until it has `gather` of them, or there are no more.
  @inlinable @inline(never)
  mutating func gather<Content: SendContent & ~Copyable>(
    _ head: UInt32, _ index: Int, _ content: inout Content
  ) {
    var last = head
    for _ in 1..<options.gather {
      let slot = fillSlot(index, &content)
      guard slot != SendPool.none else { return }
      unsafe pool.slots[Int(last)].next = slot
      unsafe pool.slots[Int(head)].total &+= pool.slots[Int(slot)].length
      unsafe pool.slots[Int(head)].records &+= pool.slots[Int(slot)].records
      last = slot
    }
  }

  @usableFromInline
  mutating func chainLength(_ index: Int) -> Int {
    var count = 0
    var head = unsafe streams[index].chainHead
    while head != SendPool.none {
      count &+= 1
      head = unsafe pool.slots[Int(head)].chained
    }
    return count
  }

  @inlinable @inline(__always)
  mutating func append(_ head: UInt32, to index: Int) {
    let stream = unsafe streams + index
    unsafe pool.slots[Int(head)].chained = SendPool.none
    if unsafe stream.pointee.chainTail == SendPool.none {
      unsafe stream.pointee.chainHead = head
    } else {
      unsafe pool.slots[Int(stream.pointee.chainTail)].chained = head
    }
    unsafe stream.pointee.chainTail = head
  }

  mutating func removeFirst(of index: Int) -> UInt32 {
    let head = unsafe streams[index].chainHead
    let next = unsafe pool.slots[Int(head)].chained
    unsafe streams[index].chainHead = next
    if next == SendPool.none { unsafe streams[index].chainTail = SendPool.none }
    return head
  }

  /// Hands the requests of a chain to the kernel, linked when order matters: they stay in it until
  /// they are taken. Others, which are here a second time, leave the chain with that.
  @usableFromInline
  mutating func issueChain(_ index: Int) {
    let link = chains ? UInt8(IK_SQE_IO_LINK) : 0
    var before: UnsafeMutablePointer<io_uring_sqe>?
    var head = unsafe streams[index].chainHead
    while head != SendPool.none, ring.submissions.room() > 0 {
      let entry = unsafe ring.submissions.claim()
      if let before = unsafe before { unsafe before.pointee.flags |= link }
      unsafe before = entry
      unsafe fillEntry(entry, head, stream: index)
      head = unsafe pool.slots[Int(head)].chained
    }
    guard !chains else { return }
    unsafe streams[index].chainHead = head
    if head == SendPool.none { unsafe streams[index].chainTail = SendPool.none }
  }

  /// Hands one request to the kernel; false when the submission queue is full.
  @inlinable @inline(__always)
  mutating func issue(_ head: UInt32, stream index: Int) -> Bool {
    guard ring.submissions.room() > 0 else { return false }
    unsafe fillEntry(ring.submissions.claim(), head, stream: index)
    return true
  }

  @inlinable @inline(__always) @unsafe
  mutating func fillEntry(
    _ entry: UnsafeMutablePointer<io_uring_sqe>, _ head: UInt32, stream index: Int
  ) {
    let slot = unsafe pool.slots + Int(head)
    invariant(unsafe slot.pointee.state == .filled, "only a filled slot goes to the kernel")
    let left = unsafe slot.pointee.total &- slot.pointee.sent
    let zeroCopy = left >= zeroCopyFrom
    var address = unsafe UnsafeRawPointer(pool.address(of: head) + Int(slot.pointee.sent))
    var length = left
    let vectored = unsafe slot.pointee.next != SendPool.none
    if vectored { unsafe (address, length) = writeVectors(of: head) }
    let issue = unsafe slot.pointee.issue &+ 1
    unsafe slot.pointee.issue = issue
    unsafe ik_prep_like(
      entry, templates + (zeroCopy ? 1 : 0), Int32(truncatingIfNeeded: index), address, length,
      OperationTag(.send, generation: issue, index: head).rawValue)
    if vectored { unsafe entry.pointee.ioprio |= UInt16(IK_SEND_VECTORIZED) }
    unsafe slot.pointee.zeroCopy = zeroCopy
    unsafe slot.pointee.state = .inFlight
    unsafe streams[index].inFlight &+= 1
    inFlight &+= 1
  }

  /// Writes the vectors of a request from its first unsent byte on, and how many there are.
  @usableFromInline
  mutating func writeVectors(of head: UInt32) -> (UnsafeRawPointer, UInt32) {
    // Allocated for every slot when requests have several (init).
    let list = unsafe vectors! + Int(head) * options.gather
    var skip = unsafe pool.slots[Int(head)].sent
    var count: UInt32 = 0
    var slot = head
    while slot != SendPool.none {
      let length = unsafe pool.slots[Int(slot)].length
      if skip < length {
        unsafe list[Int(count)] = iovec(
          iov_base: pool.address(of: slot) + Int(skip),
          iov_len: Int(length - skip))
        count &+= 1
        skip = 0
      } else {
        skip -= length
      }
      slot = unsafe pool.slots[Int(slot)].next
    }
    return (UnsafeRawPointer(list), count)
  }
}
