import CIngestKernel
import Glibc
import RingCore

extension SendLoop {
  /// Fills slots and prepares their requests for every stream that can take some.
  mutating func prepare<Content: SendContent & ~Copyable>(
    _ content: inout Content, elapsed: UInt64
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
      if unsafe !streams[index].ended { topUp(index, &content, elapsed: elapsed) }
      if unsafe streams[index].chainHead != SendPool.none { issueChain(index) }
    }
    if finishing || allStreamsEnded { pool.closeGeneration() }
  }

  private var allStreamsEnded: Bool {
    for index in 0..<streamCount where unsafe !streams[index].ended { return false }
    return true
  }

  private mutating func topUp<Content: SendContent & ~Copyable>(
    _ index: Int, _ content: inout Content, elapsed: UInt64
  ) {
    var waiting = chainLength(index) &+ Int(unsafe streams[index].inFlight)
    while waiting < options.batch {
      if options.byteRate > 0, !finishing, isAheadOfRate(elapsed) {
        paced = true
        return
      }
      guard let head = fillRequest(index, &content) else { return }
      pool.enlist(head)
      append(head, to: index)
      waiting &+= 1
    }
  }

  private func isAheadOfRate(_ elapsed: UInt64) -> Bool {
    Double(filledBytes) * 1e9 > Double(options.byteRate) * Double(elapsed)
  }

  /// One request of up to `gather` filled slots; nil when the content or the pool has nothing.
  private mutating func fillRequest<Content: SendContent & ~Copyable>(
    _ index: Int, _ content: inout Content
  ) -> UInt32? {
    var head = SendPool.none
    var last = SendPool.none
    for _ in 0..<options.gather {
      guard let slot = pool.take() else {
        if head == SendPool.none {
          tally.poolWaits &+= 1
          starved = true
        }
        break
      }
      let fill = unsafe content.fill(
        stream: index, finishing: finishing,
        into: pool.bytes(of: slot, length: options.length))
      guard fill.state == .ready else {
        pool.putBack(slot)
        if fill.state == .ended { unsafe streams[index].ended = true }
        break
      }
      let entry = unsafe pool.slots + Int(slot)
      unsafe entry.pointee.length = fill.length
      unsafe entry.pointee.stream = UInt32(index)
      filledBytes &+= UInt64(fill.length)
      if head == SendPool.none {
        head = slot
      } else {
        unsafe pool.slots[Int(last)].next = slot
      }
      last = slot
      unsafe pool.slots[Int(head)].total &+= fill.length
      unsafe pool.slots[Int(head)].records &+= fill.records
    }
    return head == SendPool.none ? nil : head
  }

  private func chainLength(_ index: Int) -> Int {
    var count = 0
    var head = unsafe streams[index].chainHead
    while head != SendPool.none {
      count &+= 1
      head = unsafe pool.slots[Int(head)].chained
    }
    return count
  }

  mutating func append(_ head: UInt32, to index: Int) {
    unsafe pool.slots[Int(head)].chained = SendPool.none
    if unsafe streams[index].chainTail == SendPool.none {
      unsafe streams[index].chainHead = head
    } else {
      unsafe pool.slots[Int(streams[index].chainTail)].chained = head
    }
    unsafe streams[index].chainTail = head
  }

  mutating func removeFirst(of index: Int) -> UInt32 {
    let head = unsafe streams[index].chainHead
    let next = unsafe pool.slots[Int(head)].chained
    unsafe streams[index].chainHead = next
    if next == SendPool.none { unsafe streams[index].chainTail = SendPool.none }
    return head
  }

  /// Hands the requests of a chain to the kernel, linked when order matters. Datagrams leave the
  /// chain with that; the bytes of a stream stay in it until they are taken.
  private mutating func issueChain(_ index: Int) {
    var before: UnsafeMutablePointer<io_uring_sqe>?
    var head = unsafe streams[index].chainHead
    while head != SendPool.none {
      guard let entry = unsafe ring.submissions.next() else { return }
      if options.ordered, let before = unsafe before {
        unsafe before.pointee.flags |= UInt8(IK_SQE_IO_LINK)
      }
      unsafe before = entry
      let next = unsafe pool.slots[Int(head)].chained
      if !options.ordered { _ = removeFirst(of: index) }
      unsafe fillEntry(entry, head, stream: index)
      head = next
    }
  }

  @unsafe
  private mutating func fillEntry(
    _ entry: UnsafeMutablePointer<io_uring_sqe>, _ head: UInt32, stream index: Int
  ) {
    let slot = unsafe pool.slots + Int(head)
    invariant(unsafe slot.pointee.state == .filled, "only a filled slot goes to the kernel")
    let left = unsafe slot.pointee.total &- slot.pointee.sent
    let zeroCopy = left >= zeroCopyFrom
    let flags = UInt32(MSG_NOSIGNAL) | (options.ordered ? UInt32(MSG_WAITALL) : 0)
    var address = unsafe UnsafeRawPointer(
      pool.address(of: head) + Int(slot.pointee.sent))
    var length = left
    var kind: UInt16 = 0
    if unsafe slot.pointee.next != SendPool.none {
      length = gather(head)
      unsafe address = UnsafeRawPointer(vectors! + Int(head) * options.gather)
      kind = UInt16(IK_SEND_VECTORIZED)
    }
    if zeroCopy {
      kind |= UInt16(IK_SEND_ZC_REPORT_USAGE) | (registered ? UInt16(IK_RECVSEND_FIXED_BUF) : 0)
      unsafe ik_prep_send_zc(entry, Int32(index), address, length, flags, kind, 0)
    } else {
      unsafe ik_prep_send(entry, Int32(index), address, length, flags)
      unsafe entry.pointee.ioprio = kind
    }
    unsafe entry.pointee.flags = UInt8(IK_SQE_FIXED_FILE)
    unsafe slot.pointee.issue &+= 1
    unsafe entry.pointee.user_data =
      OperationTag(.send, generation: slot.pointee.issue, index: head).rawValue
    unsafe slot.pointee.zeroCopy = zeroCopy
    unsafe slot.pointee.state = .inFlight
    unsafe streams[index].inFlight &+= 1
    inFlight &+= 1
  }

  /// Writes the vectors of a request from its first unsent byte on; returns how many.
  private mutating func gather(_ head: UInt32) -> UInt32 {
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
    return count
  }
}
