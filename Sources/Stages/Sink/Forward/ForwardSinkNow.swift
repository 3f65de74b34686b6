import CIngestKernel
import Glibc
import RingCore

// Sends that the receiving thread makes by itself, where no place for a lease is left.
extension ForwardSink {
  /// Sends bytes of the lease in hand after all that their link has, and waits for that: memory
  /// stays bounded, and TCP holds the senders back.
  mutating func sendNow(
    _ index: UInt32, _ offset: UInt64, _ count: UInt32, in batch: inout Batch
  ) {
    links[index].queued += UInt64(count)
    counters.waits += 1
    guard canSendNow(index) else {
      // A request whose result is not in yet: what it took is not known, so no byte may follow.
      return fail(index, ENOBUFS, in: &batch)
    }
    guard sendQueued(index, waits: true, in: &batch) else { return }
    var done: UInt32 = 0
    while done < count {
      let start = unsafe batch.area.address(of: offset &+ UInt64(done))
      var run = unsafe iovec(iov_base: start, iov_len: Int(count &- done))
      let result = unsafe ik_send_runs(links[index].descriptor, &run, 1)
      if result > 0 {
        done &+= UInt32(result)
        tookNow(index, UInt64(result))
      } else if !mayTryAgain(index, result, waits: true, in: &batch) {
        return
      }
    }
  }

  /// Sends what a link has queued. False when some is left, for want of room or by a failure.
  mutating func sendQueued(_ index: UInt32, waits: Bool, in batch: inout Batch) -> Bool {
    let base = limits.messages * limits.vectors
    while links[index].cursor != noIndex {
      let count = gather(index, at: base, in: batch).count
      let result = unsafe ik_send_runs(links[index].descriptor, vectors + base, count)
      if result > 0 {
        tookNow(index, UInt64(result))
        releaseSent(index, in: &batch)
      } else if !mayTryAgain(index, result, waits: waits, in: &batch) {
        return false
      }
    }
    return true
  }

  mutating func tookNow(_ index: UInt32, _ count: UInt64) {
    took(index, count)
    counters.syncWrites += 1
    counters.kernelCopiedBytes += count
  }

  /// Waits for room after a send that took nothing; false when there will be none.
  mutating func mayTryAgain(
    _ index: UInt32, _ result: Int64, waits: Bool, in batch: inout Batch
  ) -> Bool {
    switch -result {
    case Int64(EAGAIN), Int64(ENOBUFS), Int64(ENOMEM):
      guard waits, control.asked() != .abort else { return false }
      return awaitRoom(index, result == -Int64(EAGAIN))
    default:
      fail(index, result == 0 ? EPIPE : Int32(-result), in: &batch)
      return false
    }
  }

  /// At most 100 ms, in which an abort goes unnoticed.
  private func awaitRoom(_ index: UInt32, _ isFull: Bool) -> Bool {
    var wait = pollfd(fd: links[index].descriptor, events: Int16(POLLOUT), revents: 0)
    _ = unsafe isFull ? poll(&wait, 1, 100) : poll(&wait, 0, 1)
    return true
  }

  /// Whether nothing of the link is under way that a send could overtake. Waits for a connection
  /// that is being made.
  mutating func canSendNow(_ index: UInt32) -> Bool {
    let link = links[index]
    if link.isConnected { return link.progress != .inKernel || link.request != .send }
    guard link.progress == .inKernel else { return false }
    while control.asked() != .abort {
      var wait = pollfd(fd: link.descriptor, events: Int16(POLLOUT), revents: 0)
      guard unsafe poll(&wait, 1, 100) > 0 else { continue }
      // The error stays the request's to tell.
      return wait.revents & Int16(POLLERR | POLLHUP) == 0
    }
    return false
  }
}
