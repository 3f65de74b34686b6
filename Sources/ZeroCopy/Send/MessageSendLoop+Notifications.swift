import CIngestKernel
import Glibc
import RingCore

extension MessageSendLoop {
  /// Reads what the error queues hold; whether there was anything.
  mutating func readNotifications() -> Bool {
    var any = false
    for index in 0..<streamCount {
      if unsafe numbering[index].next == numbering[index].outstanding { continue }
      if unsafe streams[index].failure != 0 { continue }
      let count = unsafe ik_zerocopy_notifications(
        streams[index].descriptor, ranges, Int32(MessageSendLoop.rangesAtOnce))
      if count < 0 { fail(index, errno: -count) }
      for place in 0..<max(Int(count), 0) { unsafe notified(index, ranges[place]) }
      any = any || count > 0
    }
    return any
  }

  private mutating func notified(_ index: Int, _ range: ik_zerocopy_range) {
    var number = range.low
    while true {
      let place = Int(number & numberMask) + index * (Int(numberMask) + 1)
      let part = unsafe sent[place]
      invariant(part.slot != SendPool.none, "a notification for a call that was made")
      unsafe sent[place] = Sent()
      tally.notifications &+= 1
      unnotified -= 1
      if range.copied != 0 {
        tally.copiedSends &+= 1
        tally.copiedBytes &+= UInt64(part.bytes)
      }
      let entry = unsafe pool.slots + Int(part.slot)
      unsafe entry.pointee.pending &-= 1
      if unsafe entry.pointee.pending == 0, unsafe entry.pointee.state == .awaiting {
        pool.answer(part.slot)
      }
      if number == range.high { break }
      number &+= 1
    }
    // Ranges may come out of order: the oldest outstanding number moves over what is answered.
    var oldest = unsafe numbering[index].outstanding
    while unsafe oldest != numbering[index].next {
      let place = Int(oldest & numberMask) + index * (Int(numberMask) + 1)
      if unsafe sent[place].slot != SendPool.none { break }
      oldest &+= 1
    }
    unsafe numbering[index].outstanding = oldest
  }

  /// Ends a stream. Slots whose notification is outstanding stay claimed until the loop ends: the
  /// error queue of a failed socket may never tell.
  mutating func fail(_ index: Int, errno: Int32) {
    unsafe streams[index].failure = errno
    let slot = unsafe numbering[index].current
    unsafe numbering[index].current = SendPool.none
    guard slot != SendPool.none else { return }
    unsafe pool.slots[Int(slot)].state = .awaiting
    if unsafe pool.slots[Int(slot)].pending == 0 { pool.answer(slot) }
  }

  /// Sleeps until a socket has room or a notification, at most 50 ms; a pause for the bit rate or
  /// for the content is a short one.
  mutating func waitForSockets() {
    var blocked = false
    for index in 0..<streamCount {
      let failed = unsafe streams[index].failure != 0
      unsafe pollers[index].fd = failed ? -1 : streams[index].descriptor
      // Notifications raise POLLERR, which needs no asking.
      unsafe pollers[index].events = numbering[index].blocked ? Int16(POLLOUT) : 0
      blocked = unsafe blocked || numbering[index].blocked
    }
    let time: Int32 = blocked || (options.byteRate == 0 && unnotified > 0) ? 50 : 1
    unsafe _ = poll(pollers, nfds_t(streamCount), time)
    tally.enters &+= 1
    // POLLERR may also be a socket error, which the error queue does not show.
    for index in 0..<streamCount where unsafe streams[index].failure == 0 {
      guard unsafe pollers[index].revents & Int16(POLLERR) != 0 else { continue }
      let error = unsafe ik_socket_error(streams[index].descriptor)
      if error != 0 { fail(index, errno: error) }
    }
  }
}
