import CIngestKernel
import Glibc
import RingCore

// What has no room at the reader: put aside and written in order later, or dropped record by
// record.
extension StdoutSink {
  /// Writes the vectors as far as the reader takes them, behind what waits already; the rest waits
  /// or is dropped.
  mutating func writeNow(_ slot: UInt32, in batch: inout Batch) {
    drain()
    var first = 0
    while error == 0, waitingBytes == 0, first < vectorCount, !(isDropping && !begins(first)) {
      let result = unsafe ik_write_now(descriptor, vectors + first, Int32(vectorCount - first))
      guard result > 0 else {
        if result == -Int64(EINTR) { continue }
        if result != 0 && result != -Int64(EAGAIN) { fail(Int32(-result)) }
        break
      }
      counters.bytes += UInt64(result)
      counters.writes += 1
      // Of a record that has begun to leave, the rest must follow.
      isDropping = false
      let isCut = isWithinVector(Int(result), from: first)
      first = unsafe advance(vectors, from: first, to: vectorCount, by: Int(result))
      if isCut { starts &= ~(1 << UInt64(first)) }
    }
    if error != 0 { return lose(from: first, to: vectorCount) }
    if first < vectorCount { putAside(from: first, slot, in: &batch) }
  }

  /// Writes what waits, and asks the ring to tell when the reader takes more.
  mutating func replay(in batch: inout Batch) {
    drain()
    guard waitingBytes > 0, !isPolling, let entry = unsafe batch.submissions?.next() else { return }
    unsafe ik_prep_poll(entry, descriptor, UInt32(POLLOUT))
    unsafe entry.pointee.user_data = batch.tag(0)
    isPolling = true
  }

  /// Whether so many bytes end in the middle of a vector.
  private func isWithinVector(_ bytes: Int, from first: Int) -> Bool {
    var left = bytes
    for index in first..<vectorCount {
      let length = unsafe vectors[index].iov_len
      if left < length { return left > 0 }
      left -= length
    }
    return false
  }

  private func begins(_ index: Int) -> Bool { starts & (1 << UInt64(index)) != 0 }

  private mutating func drain() {
    guard waitingBytes > 0 else { return }
    var written: UInt64 = 0
    let code = queue!.drain(into: descriptor, written: &written)
    waitingBytes -= Int(written)
    counters.bytes += written
    counters.replayedBytes += written
    if written > 0 { counters.writes += 1 }
    if code != 0 && code != EAGAIN { fail(code) }
  }

  /// Record by record: a record is put aside whole, or dropped whole.
  private mutating func putAside(from start: Int, _ slot: UInt32, in batch: inout Batch) {
    counters.fullTimes += 1
    var first = start
    while first < vectorCount, error == 0 {
      var end = first + 1
      while end < vectorCount, !begins(end) { end += 1 }
      let bytes = (first..<end).reduce(0) { unsafe $0 + vectors[$1].iov_len }
      let isNew = begins(first)
      if isNew { isDropping = overflow.policy == .drop && waitingBytes + bytes > overflow.limit }
      if isDropping {
        if isNew { counters.droppedRecords += 1 }
        counters.droppedBytes += UInt64(bytes)
        name(slot, in: &batch)
      } else {
        append(first, end, bytes)
      }
      first = end
    }
    lose(from: first, to: vectorCount)
  }

  /// Puts vectors aside, or waits until they are written where nothing more may wait: the file is
  /// at its limit, or could not be written.
  private mutating func append(_ start: Int, _ end: Int, _ bytes: Int) {
    var first = start
    if overflow.policy == .drop || waitingBytes + bytes <= overflow.limit {
      let put = unsafe queue!.append(vectors, from: &first, to: end)
      waitingBytes += put
      counters.spilledBytes += UInt64(put)
      if first == end { return }
    }
    counters.spillWaits += 1
    counters.waits += 1
    while waitingBytes > 0, error == 0 {
      var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
      _ = unsafe poll(&request, 1, -1)
      drain()
    }
    writeWaiting(from: first, to: end)
  }

  /// Tells once of each connection that it loses records.
  private mutating func name(_ slot: UInt32, in batch: inout Batch) {
    guard !named[slot] else { return }
    named[slot] = true
    var fault = Fault(
      .dropped, record: 0, offset: counters.bytes, expected: UInt64(overflow.limit),
      found: UInt64(waitingBytes))
    fault.connection = serials[slot]
    batch.report(fault)
  }
}
