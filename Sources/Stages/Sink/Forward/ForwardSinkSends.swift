import CIngestKernel
import Glibc
import RingCore

// Bytes from a lease to the kernel, and leases back to the area.
extension ForwardSink {
  /// Bytes of one lease that follow each other in memory.
  struct Run: BitwiseCopyable {
    var offset: UInt64 = 0
    var length: UInt32 = 0
    /// Its lease's place among the held.
    var hold = noIndex
    /// Where the link's stream is after it.
    var end: UInt64 = 0
    var next = noIndex
  }

  /// A zero-copy send from its request to its notification.
  struct Flight: BitwiseCopyable {
    var link = noIndex
    /// Where in the link's stream it starts; what lies before the oldest one is free.
    var start: UInt64 = 0
    /// Bytes that it was given, and bytes that it took.
    var wanted: UInt32 = 0
    var bytes: UInt32 = 0
    var isZeroCopy = false
    var answered = false
    var notified = false
    /// Its message, where it gathers.
    var message = noIndex
    var next = noIndex

    /// Tells the completions of flights from those of links.
    static var mark: UInt32 { 1 << 30 }
  }

  /// One send takes no more than this, so that its result fits.
  static var sendLimit: Int { 1 << 30 }

  /// Queues the bytes gathered from the lease in hand.
  mutating func queueRun(slot: UInt32, in batch: inout Batch) {
    let count = runLength
    runLength = 0
    let index = slots[slot].link
    guard count > 0, index != noIndex, links[index].failure == 0 else {
      counters.lostBytes += UInt64(count)
      return
    }
    if hold == noIndex { hold = held.reserve(in: batch) ?? noIndex }
    guard hold != noIndex, let run = runs.take() else {
      return sendNow(index, runStart, count, in: &batch)
    }
    held.addReader(hold)
    links[index].queued += UInt64(count)
    runs[run] = Run(offset: runStart, length: count, hold: hold, end: links[index].queued)
    if links[index].tail == noIndex {
      links[index].head = run
    } else {
      runs[links[index].tail].next = run
    }
    links[index].tail = run
    if links[index].cursor == noIndex { links[index].cursor = run }
    if links[index].isConnected, links[index].progress == .none { want(.send, index) }
  }

  /// Fills the vectors at `base` from a link's first unsent byte on; returns their number, and the
  /// bytes in them.
  func gather(
    _ index: UInt32, at base: Int, in batch: borrowing Batch
  ) -> (count: Int, bytes: Int) {
    var count = 0
    var total = 0
    var run = links[index].cursor
    var skipped = links[index].into
    while run != noIndex {
      let length = Int(runs[run].length &- skipped)
      guard total + length <= ForwardSink.sendLimit else { break }
      let start = unsafe batch.area.address(of: runs[run].offset &+ UInt64(skipped))
      let last = unsafe vectors + (base + max(count, 1) - 1)
      if unsafe count > 0 && last.pointee.iov_base + last.pointee.iov_len == start {
        unsafe last.pointee.iov_len += length
      } else {
        guard count < limits.vectors else { break }
        // The base names a message's share, or the last one; both have so many vectors.
        unsafe vectors[base + count] = iovec(iov_base: start, iov_len: length)
        count += 1
      }
      total += length
      skipped = 0
      run = runs[run].next
    }
    return (count, total)
  }

  /// Hands waiting links' requests to the ring, as many as it has entries for.
  mutating func submitReady(in batch: inout Batch) {
    // With few places left for leases sends go out at once: then none is under way whose result
    // somebody would have to wait for.
    let isPressed = held.count * 4 > min(limits.leases, batch.holdLimit) * 3
    while readyHead != noIndex {
      let index = readyHead
      let link = links[index]
      let isSend = link.request == .send
      if isSend, isPressed || link.cursor == noIndex || link.failure != 0 {
        popReady()
        links[index].progress = .none
        requests -= 1
        if link.failure == 0, !sendQueued(index, waits: false, in: &batch) {
          if links[index].failure == 0 { want(.room, index) }
        }
        advance(index, in: &batch)
        continue
      }
      if isSend, flights.freeCount == 0 || messages.freeCount == 0 { return }
      guard let entry = unsafe batch.submissions?.next() else { return }
      popReady()
      links[index].progress = .inKernel
      unsafe entry.pointee.user_data = batch.tag(index)
      switch link.request {
      case .connect: unsafe ik_prep_connect(entry, link.descriptor, address, addressLength)
      case .room: unsafe ik_prep_poll(entry, link.descriptor, UInt32(POLLOUT))
      // The first looks are close together: most acknowledgements come within one round trip.
      case .time: unsafe ik_prep_timeout(entry, times + (link.looks > 50 ? 1 : 0))
      case .send: unsafe prepareSend(index, entry, in: batch)
      }
    }
  }

  private mutating func prepareSend(
    _ index: UInt32, _ entry: UnsafeMutablePointer<io_uring_sqe>, in batch: borrowing Batch
  ) {
    guard let message = messages.take(), let flight = flights.take() else {
      return invariant(false, "there was a message and a flight")
    }
    let link = links[index]
    let base = Int(message) * limits.vectors
    let (count, bytes) = gather(index, at: base, in: batch)
    let isZeroCopy = zeroCopy && !link.plainNext
    links[index].plainNext = false
    flights[flight] = Flight(
      link: index, start: link.sent, wanted: UInt32(bytes), isZeroCopy: isZeroCopy,
      message: message)
    if link.flightTail == noIndex {
      links[index].flightHead = flight
    } else {
      flights[link.flightTail].next = flight
    }
    links[index].flightTail = flight
    let flags = UInt32(MSG_DONTWAIT) | UInt32(MSG_NOSIGNAL)
    let usage = UInt16(IK_SEND_ZC_REPORT_USAGE)
    let first = unsafe vectors + base
    if count == 1 {
      let length = unsafe UInt32(first.pointee.iov_len)
      if isZeroCopy {
        unsafe ik_prep_send_zc(
          entry, link.descriptor, first.pointee.iov_base, length, flags, usage, 0)
      } else {
        unsafe ik_prep_send(entry, link.descriptor, first.pointee.iov_base, length, flags)
      }
    } else {
      unsafe headers[Int(message)].msg_iov = first
      unsafe headers[Int(message)].msg_iovlen = count
      let header = unsafe headers + Int(message)
      if isZeroCopy {
        unsafe ik_prep_send_message_zc(entry, link.descriptor, header, flags, usage)
      } else {
        unsafe ik_prep_send_message(entry, link.descriptor, header, flags)
      }
    }
    unsafe entry.pointee.user_data = batch.tag(flight | Flight.mark)
  }

  /// The kernel answered a link's request.
  mutating func answered(
    _ index: UInt32, _ result: Int32, flight: UInt32, in batch: inout Batch
  ) {
    invariant(links[index].progress == .inKernel, "a completion answers a request of this sink")
    links[index].progress = .none
    requests -= 1
    switch links[index].request {
    case .connect:
      if result == 0 {
        links[index].isConnected = true
      } else if result == -EINTR || result == -EAGAIN {
        return want(.connect, index)
      } else {
        fail(index, -result, in: &batch)
      }
    case .send:
      let wasZeroCopy = flights[flight].isZeroCopy
      let isShort = result < flights[flight].wanted
      tookSend(flight, result, in: &batch)
      if result > 0 {
        // Less than it was given: there is no more room.
        if isShort, links[index].failure == 0 { want(.room, index) }
      } else {
        failedSend(index, result, wasZeroCopy, in: &batch)
      }
    case .room, .time: break
    }
    advance(index, in: &batch)
  }

  /// The result of a send; the flight waits for its notification, where one comes.
  private mutating func tookSend(_ flight: UInt32, _ result: Int32, in batch: inout Batch) {
    let index = flights[flight].link
    messages.give(flights[flight].message)
    flights[flight].answered = true
    if result > 0 {
      flights[flight].bytes = UInt32(result)
      if !flights[flight].isZeroCopy { counters.kernelCopiedBytes += UInt64(result) }
      took(index, UInt64(result))
    }
    landFlights(of: index, in: &batch)
  }

  /// Counts bytes that the kernel took, and moves the cursor past them.
  mutating func took(_ index: UInt32, _ count: UInt64) {
    counters.bytes += count
    counters.writes += 1
    links[index].sent += count
    while links[index].cursor != noIndex {
      let run = runs[links[index].cursor]
      guard run.end <= links[index].sent else {
        // The kernel took no more than it was given, so it is this run where it stopped.
        links[index].into = run.length &- UInt32(run.end &- links[index].sent)
        return
      }
      links[index].cursor = run.next
      links[index].into = 0
    }
  }

  private mutating func failedSend(
    _ index: UInt32, _ result: Int32, _ wasZeroCopy: Bool, in batch: inout Batch
  ) {
    switch -result {
    case EAGAIN: want(.room, index)
    case EINTR, ECANCELED: break
    case EINVAL where wasZeroCopy, EOPNOTSUPP where wasZeroCopy: zeroCopy = false
    // No memory to pin, or beyond RLIMIT_MEMLOCK: once with a copy, then after a while.
    case ENOMEM where wasZeroCopy, ENOBUFS where wasZeroCopy: links[index].plainNext = true
    case ENOMEM, ENOBUFS: want(.time, index)
    case 0: fail(index, EPIPE, in: &batch)
    default: fail(index, -result, in: &batch)
    }
  }

  /// The kernel no longer reads what a zero-copy send took.
  mutating func notified(_ flight: UInt32, usage: UInt32, in batch: inout Batch) {
    let index = flights[flight].link
    flights[flight].notified = true
    let bytes = UInt64(flights[flight].bytes)
    counters.zeroCopyBytes += bytes
    if usage & IK_NOTIF_USAGE_ZC_COPIED != 0 { counters.kernelCopiedBytes += bytes }
    landFlights(of: index, in: &batch)
    settle(index, in: &batch)
  }

  /// Lets go of the oldest flights that are through, and of the leases before the next one.
  private mutating func landFlights(of index: UInt32, in batch: inout Batch) {
    while links[index].flightHead != noIndex {
      let flight = links[index].flightHead
      guard flights[flight].answered, flights[flight].notified else { break }
      links[index].flightHead = flights[flight].next
      if links[index].flightHead == noIndex { links[index].flightTail = noIndex }
      flights.give(flight)
    }
    releaseSent(index, in: &batch)
  }

  /// Gives back what was sent before the oldest flight.
  mutating func releaseSent(_ index: UInt32, in batch: inout Batch) {
    let oldest = links[index].flightHead
    let limit = oldest == noIndex ? links[index].sent : flights[oldest].start
    while links[index].head != noIndex, runs[links[index].head].end <= limit {
      releaseFirst(of: index, in: &batch)
    }
  }

  mutating func releaseFirst(of index: UInt32, in batch: inout Batch) {
    let run = links[index].head
    links[index].head = runs[run].next
    if links[index].head == noIndex { links[index].tail = noIndex }
    // The lease in hand was not kept yet.
    if runs[run].hold == hold {
      held.removeEarlyReader(hold)
    } else {
      held.removeReader(runs[run].hold, in: &batch)
    }
    runs.give(run)
  }
}
