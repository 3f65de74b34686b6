public import CIngestKernel
public import RingCore

/// Requests that stand alone and go back by themselves (``SendLoop/single``): the same steps as for
/// all others, without what only chains, gathering and generations need. What does not go as it
/// should is left to those others.
extension SendLoop {
  /// Whether one stream has nothing to do but to send.
  @inlinable @inline(__always)
  mutating func goesStraight() -> Bool {
    unsafe single && streamCount == 1 && !finishing && !onTrial && options.byteRate == 0
      && streams[0].isReady
  }

  /// Turns of one stream, as long as it ``goesStraight()`` and nothing else happens: what
  /// ``prepare(_:)`` and ``turn()`` do, without looking for what else there might be to do. At
  /// least one turn; false at the end.
  @inlinable @inline(never)
  mutating func sendOn<Content: SendContent & ~Copyable>(_ content: inout Content) -> Bool {
    repeat {
      starved = false
      sendSingle(0, &content)
      // Nothing to send, or no buffer: how long to wait for that is not for this loop.
      guard inFlight > 0 else { return turn() }
      let error = hand()
      let ticked = reapSingle()
      guard error == 0, !ticked else { return conclude(error, ticked: ticked) }
    } while unsafe streams[0].isReady && !isTold
    return true
  }

  /// Whether a stop or an abort was asked for.
  @inlinable @inline(__always)
  var isTold: Bool {
    mutating get {
      unsafe ik_load_relaxed_u64(flags + SendShared.stopFlag)
        | ik_load_relaxed_u64(flags + SendShared.abortFlag) != 0
    }
  }

  /// From the content straight into the submission queue, up to a batch under way. For a loop that
  /// is not finishing.
  @inlinable @inline(__always)
  mutating func sendSingle<Content: SendContent & ~Copyable>(
    _ index: Int, _ content: inout Content
  ) {
    let wanted = wantedRequests(index)
    let room = min(wanted, ring.submissions.room(), UInt32(truncatingIfNeeded: pool.available))
    var view = pool.view
    var entries = ring.submissions.view
    let rest = view.available &- Int(room)
    // Of at most 16384 slots, which is below 4 GiB.
    var filled: UInt32 = 0
    while view.available != rest {
      let slot = view.pop()
      let address = unsafe pool.address(of: slot)
      let fill = unsafe content.fill(
        stream: index, finishing: false,
        into: UnsafeMutableRawBufferPointer(start: address, count: options.length))
      guard fill.state == .ready else {
        view.push(slot)
        if fill.state == .ended { unsafe streams[index].ended = true }
        break
      }
      let entry = unsafe view.slots + Int(slot)
      unsafe entry.pointee.stream = UInt32(truncatingIfNeeded: index)
      unsafe entry.pointee.total = fill.length
      unsafe entry.pointee.records = fill.records
      unsafe entry.pointee.standing = SendStanding(.inFlight)
      unsafe ik_prep_like(
        entries.claim(), fill.length >= zeroCopyFrom ? templates + 1 : templates,
        Int32(truncatingIfNeeded: index), address, fill.length,
        OperationTag(.send, index: slot).rawValue)
      filled &+= fill.length
    }
    let count = UInt32(truncatingIfNeeded: pool.available &- view.available)
    pool.view = view
    ring.submissions.view = entries
    filledBytes &+= UInt64(filled)
    unsafe streams[index].inFlight &+= count
    inFlight &+= count
    if count < wanted { noteEmptyPool() }
  }

  /// What is missing to a batch of a stream, or to what is due where there is a rate.
  @inlinable @inline(__always)
  mutating func wantedRequests(_ index: Int) -> UInt32 {
    let batch = unsafe UInt32(truncatingIfNeeded: options.batch) &- streams[index].inFlight
    return options.byteRate > 0 ? dueRequests(batch) : batch
  }

  @usableFromInline
  mutating func dueRequests(_ batch: UInt32) -> UInt32 {
    let ahead = Double(filledBytes) - Double(options.byteRate) * Double(elapsed) / 1e9
    let due = ahead > 0 ? 0 : 1 + UInt32(min(-ahead / Double(options.length), 1e9))
    paced = paced || due < batch
    return min(batch, due)
  }

  /// ``reap()`` for them.
  @inlinable @inline(__always)
  mutating func reapSingle() -> Bool {
    let queue = ring.completions
    let count = queue.available()
    var ticked = false
    var view = pool.view
    var taken = Taken(stream: 0)
    var released: UInt32 = 0
    var index: UInt32 = 0
    while index != count {
      // The entry is the consumer's until advance. A slot that is in flight, with nothing else to
      // come, can only get its result, and one that was taken only its notification. The tick
      // names slot 0, but its result (-ETIME) is neither a length nor a notification's.
      let entry = unsafe queue.entry(index)
      index &+= 1
      let head = unsafe OperationTag(rawValue: entry.pointee.user_data).index
      let slot = unsafe view.slots + Int(head)
      let result = unsafe UInt32(bitPattern: entry.pointee.res)
      if unsafe slot.pointee.standing == SendStanding(.inFlight)
        && result == slot.pointee.total
      {
        if unsafe slot.pointee.stream != taken.stream {
          note(taken)
          taken = unsafe Taken(stream: slot.pointee.stream)
        }
        taken.requests &+= 1
        taken.bytes &+= UInt64(result)
        unsafe taken.records &+= UInt64(slot.pointee.records)
        if unsafe entry.pointee.flags & UInt32(IK_CQE_F_MORE) == 0 {
          view.push(head)
          continue
        }
        unsafe slot.pointee.standing = SendStanding(.awaiting, pending: 1)
        unsafe slot.pointee.unreported = result
        taken.zeroCopy &+= 1
      } else if unsafe slot.pointee.standing == SendStanding(.awaiting, pending: 1)
        && result & ~IK_NOTIF_USAGE_ZC_COPIED == 0
      {
        if result != 0 {
          tally.copiedSends &+= 1
          unsafe tally.copiedBytes &+= UInt64(slot.pointee.unreported)
        }
        unsafe slot.pointee.sent = 0
        unsafe slot.pointee.unreported = 0
        view.push(head)
        released &+= 1
      } else {
        pool.view = view
        unsafe ticked = handleRare(entry) || ticked
        view = pool.view
      }
    }
    pool.view = view
    ring.completions.advance(count)
    note(taken)
    unnotified &-= released
    tally.notifications &+= UInt64(released)
    return ticked
  }

  /// Everything else: the tick, of which this returns whether it is one, and errors.
  @inline(never) @unsafe @usableFromInline
  mutating func handleRare(_ entry: UnsafePointer<ik_short_cqe>) -> Bool {
    unsafe handle(entry)
  }

  /// Requests of one stream, one after the other, that the kernel took as they were.
  @frozen @usableFromInline
  struct Taken {
    @usableFromInline var stream: UInt32
    @usableFromInline var requests: UInt32 = 0
    @usableFromInline var zeroCopy: UInt32 = 0
    @usableFromInline var bytes: UInt64 = 0
    @usableFromInline var records: UInt64 = 0

    @inlinable
    init(stream: UInt32) { self.stream = stream }
  }

  /// Counts what was taken.
  @inlinable @inline(__always)
  mutating func note(_ taken: Taken) {
    inFlight &-= taken.requests
    unnotified &+= taken.zeroCopy
    tally.sends &+= UInt64(taken.requests)
    tally.zeroCopySends &+= UInt64(taken.zeroCopy)
    tally.bytes &+= taken.bytes
    tally.records &+= taken.records
    let stream = unsafe streams + Int(taken.stream)
    unsafe stream.pointee.inFlight &-= taken.requests
    unsafe stream.pointee.bytes &+= taken.bytes
    unsafe stream.pointee.records &+= taken.records
  }
}
