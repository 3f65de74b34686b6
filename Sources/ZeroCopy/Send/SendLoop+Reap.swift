import CIngestKernel
import Glibc
import RingCore

extension SendLoop {
  /// Handles every completion there is. Returns whether the tick was among them.
  @usableFromInline
  mutating func reap() -> Bool {
    let count = ring.completions.available()
    var ticked = false
    for index in 0..<count {
      // The entry is the consumer's until advance.
      let entry = unsafe ring.completions.entry(index)
      unsafe ticked = handle(entry) || ticked
    }
    ring.completions.advance(count)
    return ticked
  }

  /// Handles one completion. Returns whether it is the tick.
  @inline(__always) @unsafe
  mutating func handle(_ entry: UnsafePointer<ik_short_cqe>) -> Bool {
    let tag = unsafe OperationTag(rawValue: entry.pointee.user_data)
    if tag.kindByte == OperationTag.Kind.wake.rawValue { return true }
    let result = unsafe entry.pointee.res
    let flags = unsafe entry.pointee.flags
    if flags & UInt32(IK_CQE_F_NOTIF) != 0 {
      notified(tag, usage: UInt32(bitPattern: result))
    } else {
      answered(tag.index, result, more: flags & UInt32(IK_CQE_F_MORE) != 0)
    }
    return false
  }

  /// The result of a request. Whether a notification follows that counts is said by the flag alone:
  /// an error may have one too.
  @inline(__always)
  private mutating func answered(_ head: UInt32, _ result: Int32, more: Bool) {
    let slot = unsafe pool.slots + Int(head)
    invariant(unsafe slot.pointee.state == .inFlight, "a result for a request in flight")
    let index = unsafe Int(slot.pointee.stream)
    unsafe slot.pointee.state = .filled
    unsafe streams[index].inFlight &-= 1
    inFlight &-= 1
    if more {
      unsafe slot.pointee.pending &+= 1
      if !single { unsafe slot.pointee.expected |= 1 &<< UInt64(slot.pointee.issue & 63) }
      unnotified &+= 1
    }
    guard result >= 0 else { return failed(head, index, errno: -result) }
    let taken = UInt32(result)
    unsafe slot.pointee.sent &+= taken
    if more { unsafe slot.pointee.unreported &+= taken }
    tally.bytes &+= UInt64(taken)
    unsafe streams[index].bytes &+= UInt64(taken)
    guard unsafe slot.pointee.sent == slot.pointee.total else { return fellShort(head, index) }
    if chains, unsafe streams[index].failure == 0 {
      invariant(
        unsafe streams[index].chainHead == head, "requests of a stream complete in order")
      _ = removeFirst(of: index)
    }
    tally.sends &+= 1
    if unsafe slot.pointee.zeroCopy { tally.zeroCopySends &+= 1 }
    let records = unsafe UInt64(slot.pointee.records)
    tally.records &+= records
    unsafe streams[index].records &+= records
    settle(head)
  }

  /// A short send broke its chain; it goes out again, from its first unsent byte.
  @inline(never)
  private mutating func fellShort(_ head: UInt32, _ index: Int) {
    tally.shortSends &+= 1
    if unsafe streams[index].failure != 0 { return settle(head) }
    if !chains { append(head, to: index) }
  }

  @inline(never)
  private mutating func failed(_ head: UInt32, _ index: Int, errno: Int32) {
    if unsafe streams[index].failure == 0 {
      switch errno {
      case EAGAIN, EINTR, ECANCELED, ENOBUFS:
        // Cancelled because a send before it in the chain fell short, or no room: again.
        if !chains { append(head, to: index) }
        return
      default:
        unsafe streams[index].failure = errno
        abandonChain(index, except: head)
      }
    }
    settle(head)
  }

  /// Lets go of the requests of a failed stream that the kernel does not have.
  private mutating func abandonChain(_ index: Int, except: UInt32) {
    while unsafe streams[index].chainHead != SendPool.none {
      let head = removeFirst(of: index)
      if head != except, unsafe pool.slots[Int(head)].state == .filled { settle(head) }
    }
  }

  /// Nothing more of this request will be handed to the kernel.
  @inline(__always)
  private mutating func settle(_ head: UInt32) {
    unsafe pool.slots[Int(head)].state = .awaiting
    guard unsafe pool.slots[Int(head)].pending == 0 else { return }
    pool.answer(head)
  }

  /// A notification: the kernel no longer reads what one zero-copy send of the request took.
  ///
  /// A request cancelled because its chain broke was never started, says so without the flag, and
  /// is followed by a notification all the same (io_uring/net.c, io_send_zc_cleanup). That one must
  /// not count for whatever the slot carries by then. Single requests are in no chain.
  @inline(__always)
  private mutating func notified(_ tag: OperationTag, usage: UInt32) {
    let head = tag.index
    let slot = unsafe pool.slots + Int(head)
    if !single {
      let bit = UInt64(1) &<< UInt64(tag.generation & 63)
      guard unsafe slot.pointee.expected & bit != 0 else { return }
      unsafe slot.pointee.expected &= ~bit
    }
    invariant(unsafe slot.pointee.pending > 0, "a notification for a request that expects one")
    unsafe slot.pointee.pending &-= 1
    unnotified &-= 1
    tally.notifications &+= 1
    if usage & IK_NOTIF_USAGE_ZC_COPIED != 0 {
      tally.copiedSends &+= 1
      unsafe slot.pointee.copied = true
    }
    guard unsafe slot.pointee.pending == 0 else { return }
    // Of a request sent in several pieces the bytes count as copied when any piece was.
    if unsafe slot.pointee.copied { tally.copiedBytes &+= unsafe UInt64(slot.pointee.unreported) }
    unsafe slot.pointee.unreported = 0
    unsafe slot.pointee.copied = false
    guard unsafe slot.pointee.state == .awaiting else { return }
    pool.answer(head)
  }
}
