import CIngestKernel
import Glibc
import RingCore

// A receiver that is behind: what its socket has no room for is put aside and sent in order later,
// or dropped record by record. The kernel copies what it takes, so no lease is held.
extension ForwardSink {
  /// Adds a piece's bytes to those that are sent when the lease ends.
  mutating func gatherNow(
    _ piece: Piece, of lease: borrowing Lease, at start: UInt32, in batch: inout Batch
  ) {
    let all = options.bytes == .all
    let count = Int(all ? piece.count : piece.payload)
    if piece.first { slots[lease.connection].begins = true }
    guard count > 0 else { return }
    // Only records that may be dropped have to be told apart.
    let begins = slots[lease.connection].begins && options.overflow.policy == .drop
    slots[lease.connection].begins = false
    let from = lease.offset &+ UInt64(all ? start : start &+ piece.lead)
    let address = unsafe batch.area.address(of: from)
    let base = limits.messages * limits.vectors
    if vectorCount > 0, !begins {
      let last = unsafe vectors + (base + vectorCount - 1)
      if unsafe last.pointee.iov_base + last.pointee.iov_len == address {
        unsafe last.pointee.iov_len += count
        return
      }
    }
    if vectorCount == min(limits.vectors, 64) { passOn(slot: lease.connection, in: &batch) }
    if begins { starts |= 1 << UInt64(vectorCount) }
    unsafe vectors[base + vectorCount] = iovec(iov_base: address, iov_len: count)
    vectorCount += 1
  }

  /// Sends what was gathered, behind what waits already; the rest waits or is dropped.
  mutating func passOn(slot: UInt32, in batch: inout Batch) {
    defer { (vectorCount, starts) = (0, 0) }
    let index = slots[slot].link
    guard vectorCount > 0 else { return }
    guard index != noIndex, links[index].failure == 0 else { return lose(from: 0) }
    var first = 0
    if isReady(index) {
      _ = drain(index, in: &batch)
      first = sendGathered(index, in: &batch)
    }
    if links[index].failure != 0 { return lose(from: first) }
    if first < vectorCount { putAside(index, from: first, in: &batch) }
    if links[index].isConnected, links[index].progress == .none, !links[index].chain.isEmpty {
      want(.room, index)
    }
  }

  /// Whether the socket may have room: nobody waits for some.
  private func isReady(_ index: UInt32) -> Bool {
    links[index].isConnected && links[index].progress == .none
  }

  /// Sends gathered vectors as far as there is room; returns the first that is not through.
  private mutating func sendGathered(_ index: UInt32, in batch: inout Batch) -> Int {
    let base = limits.messages * limits.vectors
    var first = 0
    while first < vectorCount, links[index].failure == 0, links[index].chain.isEmpty,
      !(links[index].isDropping && !begins(first))
    {
      let result = unsafe ik_send_runs(
        links[index].descriptor, vectors + (base + first), vectorCount - first)
      guard result > 0 else {
        _ = mayTryAgain(index, result, waits: false, in: &batch)
        break
      }
      links[index].queued += UInt64(result)
      tookNow(index, UInt64(result))
      links[index].isDropping = false
      var left = Int(result)
      while first < vectorCount, unsafe left >= vectors[base + first].iov_len {
        unsafe left -= vectors[base + first].iov_len
        first += 1
      }
      guard left > 0, first < vectorCount else { continue }
      unsafe vectors[base + first].iov_base += left
      unsafe vectors[base + first].iov_len -= left
      // Of a record that has begun to leave, the rest must follow.
      starts &= ~(1 << UInt64(first))
    }
    return first
  }

  private func begins(_ vector: Int) -> Bool { starts & (1 << UInt64(vector)) != 0 }

  /// Sends what waits aside. What is to be waited for until more can be sent; nil where nothing
  /// waits any more, or the link has failed.
  mutating func drain(_ index: UInt32, in batch: inout Batch) -> Link.Request? {
    guard spill != nil, links[index].failure == 0, !links[index].chain.isEmpty else { return nil }
    var chain = links[index].chain
    var sent = 0
    let code = spill!.drain(&chain, into: links[index].descriptor, sent: &sent)
    links[index].chain = chain
    if sent > 0 {
      tookNow(index, UInt64(sent))
      counters.replayedBytes += UInt64(sent)
    }
    switch code {
    case 0: return nil
    case EAGAIN: return .room
    case ENOBUFS, ENOMEM: return .time
    default:
      fail(index, code, in: &batch)
      return nil
    }
  }

  /// Record by record: a record is put aside whole, or dropped whole.
  private mutating func putAside(_ index: UInt32, from start: Int, in batch: inout Batch) {
    counters.fullTimes += 1
    let base = limits.messages * limits.vectors
    var first = start
    while first < vectorCount, links[index].failure == 0 {
      var end = first + 1
      while end < vectorCount, !begins(end) { end += 1 }
      let bytes = (first..<end).reduce(0) { unsafe $0 + vectors[base + $1].iov_len }
      if begins(first) {
        links[index].recordStart = links[index].queued
        links[index].isDropping = false
      }
      let mayDrop =
        options.overflow.policy == .drop && links[index].sent <= links[index].recordStart
      if mayDrop, !links[index].isDropping, spill!.share(behind: links[index].chain) < bytes {
        dropRecord(index, in: &batch)
      }
      if links[index].isDropping {
        counters.droppedBytes += UInt64(bytes)
      } else {
        append(index, first, end, mustFollow: !mayDrop && options.overflow.policy == .drop, &batch)
      }
      first = end
    }
    lose(from: first)
  }

  /// The record at hand has no room: what of it waits is taken back.
  private mutating func dropRecord(_ index: UInt32, in batch: inout Batch) {
    let share = spill!.share(behind: links[index].chain)
    let waiting = links[index].queued &- links[index].recordStart
    var chain = links[index].chain
    spill!.cut(&chain, by: Int(waiting))
    links[index].chain = chain
    links[index].queued -= waiting
    links[index].isDropping = true
    counters.droppedRecords += 1
    counters.droppedBytes += waiting
    guard !links[index].isNamed else { return }
    links[index].isNamed = true
    var fault = Fault(
      .dropped, record: 0, offset: links[index].sent, expected: UInt64(chain.count + share),
      found: UInt64(chain.count))
    fault.connection = links[index].connection.serial
    batch.report(fault)
  }

  /// Puts vectors aside. Where nothing more may wait, the thread sends what the link has by itself
  /// and waits.
  private mutating func append(
    _ index: UInt32, _ first: Int, _ end: Int, mustFollow: Bool, _ batch: inout Batch
  ) {
    let base = limits.messages * limits.vectors
    var chain = links[index].chain
    for vector in first..<end {
      let (address, count) = unsafe (
        vectors[base + vector].iov_base!, vectors[base + vector].iov_len
      )
      let put = unsafe spill!.append(address, count, to: &chain, mustFollow: mustFollow)
      links[index].chain = chain
      links[index].queued += UInt64(put)
      counters.spilledBytes += UInt64(put)
      guard put < count else { continue }
      unsafe vectors[base + vector].iov_base += put
      unsafe vectors[base + vector].iov_len -= put
      counters.spillWaits += 1
      counters.waits += 1
      return sendWaiting(index, vector, end, in: &batch)
    }
  }

  /// Sends what waits aside, then vectors, however long that takes.
  private mutating func sendWaiting(
    _ index: UInt32, _ first: Int, _ end: Int, in batch: inout Batch
  ) {
    let base = limits.messages * limits.vectors
    for vector in first..<end {
      links[index].queued += UInt64(unsafe vectors[base + vector].iov_len)
    }
    guard canSendNow(index) else {
      if control.asked() != .abort { fail(index, ENOBUFS, in: &batch) }
      return
    }
    while let full = drain(index, in: &batch) {
      let code = full == .room ? EAGAIN : ENOBUFS
      guard mayTryAgain(index, -Int64(code), waits: true, in: &batch) else { return }
    }
    for vector in first..<end {
      while links[index].failure == 0, unsafe vectors[base + vector].iov_len > 0 {
        let result = unsafe ik_send_runs(links[index].descriptor, vectors + (base + vector), 1)
        if result > 0 {
          tookNow(index, UInt64(result))
          unsafe vectors[base + vector].iov_base += Int(result)
          unsafe vectors[base + vector].iov_len -= Int(result)
        } else if !mayTryAgain(index, result, waits: true, in: &batch) {
          return
        }
      }
    }
  }

  /// Bytes that were gathered and are not sent on.
  private mutating func lose(from first: Int) {
    let base = limits.messages * limits.vectors
    for vector in first..<max(first, vectorCount) {
      counters.lostBytes += UInt64(unsafe vectors[base + vector].iov_len)
    }
  }
}
