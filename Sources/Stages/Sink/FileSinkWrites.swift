import CIngestKernel
import Glibc
import RingCore

extension FileSink {
  /// A request of the sink's.
  struct Operation: BitwiseCopyable {
    enum Kind: UInt8 { case write, sync }
    var kind = Kind.write
    var inKernel = false
    /// Handed to the kernel while its file was written directly.
    var direct = false
    var file = noIndex
    /// The next operation that is ready.
    var next = noIndex
    /// Where the next byte goes in the file, and how many are left.
    var offset: UInt64 = 0
    var length = 0
    /// Runs not yet written: from `firstVector` up to `vectorCount`.
    var firstVector = 0
    var vectorCount = 0
    var claimCount = 0
    /// Bytes at the start that were written and counted before.
    var again = 0
  }

  /// What a write reads from: a held lease, a carry buffer, or a block.
  struct Claim: BitwiseCopyable, Equatable {
    enum Kind: UInt8 { case lease, carry, block }
    var kind: Kind
    var index: UInt32
  }

  /// One write takes no more than this: the kernel stops a little short of 2 GiB (MAX_RW_COUNT).
  static var writeLimit: Int { 1 << 30 }

  /// Adds bytes of the lease in hand; only where they do not follow the last is there work to do.
  @inline(__always)
  mutating func extendRun(_ from: UInt64, _ count: UInt32, slot: UInt32, in batch: inout Batch) {
    if runStart &+ UInt64(runLength) != from {
      writeRun(slot: slot, in: &batch)
      runStart = from
    }
    runLength &+= count
  }

  /// Queues the bytes gathered from the lease in hand.
  mutating func writeRun(slot: UInt32, in batch: inout Batch) {
    let count = Int(runLength)
    runLength = 0
    let file = slots[slot].file
    guard count > 0, file != noIndex, files[file].failure == 0 else { return lose(count) }
    hasUnsynced = options.syncEvery > 0
    let address = unsafe batch.area.address(of: runStart)
    if options.direct { return unsafe gatherBlocks(address, count, of: file, in: &batch) }
    let offset = files[file].end
    files[file].end += UInt64(count)
    if batch.submissions != nil {
      if hold == noIndex { hold = held.reserve(in: batch) ?? noIndex }
      let claim = Claim(kind: .lease, index: hold)
      if hold != noIndex, unsafe queue(address, count, at: offset, of: file, for: claim) { return }
      if hold != noIndex, !held.isRead(hold) {
        held.cancel(hold)
        hold = noIndex
      }
    }
    unsafe writeNow(address, count, at: offset, of: file, in: &batch)
  }

  /// Queues the part of a record that was copied from earlier leases, before its last piece.
  mutating func endCarried(slot: UInt32, in batch: inout Batch) {
    guard let (buffer, record) = unsafe carry.take(slot: slot) else { return }
    writeRun(slot: slot, in: &batch)
    let file = slots[slot].file
    guard file != noIndex, files[file].failure == 0 else {
      lose(record.count)
      return carry.give(buffer)
    }
    hasUnsynced = options.syncEvery > 0
    // The memory is the pool's: mapped writable, and only named constant while it is handed over.
    let address = unsafe UnsafeMutableRawPointer(mutating: record.baseAddress!)
    if options.direct {
      unsafe gatherBlocks(address, record.count, of: file, in: &batch)
      return carry.give(buffer)
    }
    let offset = files[file].end
    files[file].end += UInt64(record.count)
    if batch.submissions != nil, carry.mayWait {
      let claim = Claim(kind: .carry, index: buffer)
      if unsafe queue(address, record.count, at: offset, of: file, for: claim) {
        return carry.waits()
      }
    }
    unsafe writeNow(address, record.count, at: offset, of: file, in: &batch)
    carry.give(buffer)
  }

  /// Adds a run to the write that gathers for the file, or starts one; false when none is free.
  mutating func queue(
    _ address: UnsafeMutableRawPointer, _ count: Int, at offset: UInt64, of file: UInt32,
    for claim: Claim
  ) -> Bool {
    var index = files[file].gathering
    if index == noIndex || !(unsafe hasRoom(index, address, count, at: offset, for: claim)) {
      guard let free = operations.take() else { return false }
      index = free
      operations[index] = Operation(file: file, offset: offset)
      files[file].gathering = index
      files[file].writes += 1
      enqueue(index)
    }
    let operation = operations[index]
    let base = Int(index) * limits.vectors
    // The counts are at most `limits.vectors`, so both stay inside the operation's share.
    if unsafe follows(operation, base, address) {
      unsafe vectors[base + operation.vectorCount - 1].iov_len += count
    } else {
      unsafe vectors[base + operation.vectorCount] = iovec(iov_base: address, iov_len: count)
      operations[index].vectorCount += 1
    }
    if unsafe operation.claimCount == 0 || claims[base + operation.claimCount - 1] != claim {
      unsafe claims[base + operation.claimCount] = claim
      operations[index].claimCount += 1
      if claim.kind == .lease { held.addReader(claim.index) }
    }
    operations[index].length += count
    return true
  }

  private func follows(
    _ operation: Operation, _ base: Int, _ address: UnsafeMutableRawPointer
  ) -> Bool {
    guard operation.vectorCount > 0 else { return false }
    let last = unsafe vectors[base + operation.vectorCount - 1]
    return unsafe last.iov_base + last.iov_len == address
  }

  private func hasRoom(
    _ index: UInt32, _ address: UnsafeMutableRawPointer, _ count: Int, at offset: UInt64,
    for claim: Claim
  ) -> Bool {
    let operation = operations[index]
    let base = Int(index) * limits.vectors
    guard operation.offset + UInt64(operation.length) == offset,
      operation.length + count <= FileSink.writeLimit
    else { return false }
    let newVector = unsafe !follows(operation, base, address)
    let newClaim = unsafe claims[base + operation.claimCount - 1] != claim
    return operation.vectorCount + (newVector ? 1 : 0) <= limits.vectors
      && operation.claimCount + (newClaim ? 1 : 0) <= limits.vectors
  }

  /// Writes and waits. What fails ends the file.
  mutating func writeNow(
    _ address: UnsafeMutableRawPointer, _ count: Int, at offset: UInt64, of file: UInt32,
    again: Int = 0, in batch: inout Batch
  ) {
    var done = 0
    counters.waits += 1
    while done < count {
      let result = unsafe pwrite(
        files[file].descriptor, address + done, count - done, off_t(offset) + off_t(done))
      if result > 0 {
        counters.bytes += UInt64(max(0, done + result - max(again, done)))
        done += result
        counters.writes += 1
        counters.syncWrites += 1
      } else if result == 0 || errno != EINTR {
        let code = result == 0 ? EIO : errno
        if code == EINVAL, files[file].direct {
          leaveDirect(file)
          continue
        }
        lose(count - max(done, again))
        failFile(file, .write, code, at: offset + UInt64(max(done, again)))
        return advanceFile(file, in: &batch)
      }
    }
  }

  /// Puts an operation behind those that wait for a submission entry.
  mutating func enqueue(_ index: UInt32) {
    operations[index].next = noIndex
    if readyTail == noIndex { readyHead = index } else { operations[readyTail].next = index }
    readyTail = index
  }

  /// Hands waiting operations to the ring, as many as it has entries for.
  mutating func submitReady(in batch: inout Batch) {
    while readyHead != noIndex {
      let index = readyHead
      let operation = operations[index]
      let file = operation.file
      // What lies before the first missing byte is still of use.
      if operation.kind == .write, operation.offset >= files[file].failedAt {
        popReady()
        lose(max(0, operation.length - operation.again))
        release(index, in: &batch)
        advanceFile(file, in: &batch)
        continue
      }
      guard let entry = unsafe batch.submissions?.next() else { return }
      popReady()
      operations[index].inKernel = true
      operations[index].direct = files[file].direct
      let descriptor = files[file].descriptor
      switch operation.kind {
      case .write:
        let first = unsafe vectors + (Int(index) * limits.vectors + operation.firstVector)
        let count = operation.vectorCount - operation.firstVector
        if count == 1 {
          // A carried record may have 4 GiB and more: the rest goes out as after a short write.
          unsafe ik_prep_write(
            entry, descriptor, first.pointee.iov_base, UInt32(clamping: first.pointee.iov_len),
            operation.offset)
        } else {
          unsafe ik_prep_writev(entry, descriptor, first, UInt32(count), operation.offset)
        }
      case .sync: unsafe ik_prep_fsync(entry, descriptor)
      }
      unsafe entry.pointee.user_data = batch.tag(index)
    }
  }

  private mutating func popReady() {
    let index = readyHead
    readyHead = operations[index].next
    if readyHead == noIndex { readyTail = noIndex }
    let file = operations[index].file
    if files[file].gathering == index { files[file].gathering = noIndex }
  }

  /// The kernel answered a write.
  mutating func wrote(_ index: UInt32, result: Int32, in batch: inout Batch) {
    if result == -EINTR || result == -EAGAIN { return enqueue(index) }
    let file = operations[index].file
    if result == -EINVAL, operations[index].direct {
      // This device wants other alignments than most.
      if files[file].direct { leaveDirect(file) }
      return enqueue(index)
    }
    if result > 0 {
      let base = Int(index) * limits.vectors
      let operation = operations[index]
      operations[index].firstVector = unsafe advance(
        vectors + base, from: operation.firstVector, to: operation.vectorCount, by: Int(result))
      operations[index].offset += UInt64(result)
      operations[index].length -= Int(result)
      counters.bytes += UInt64(max(0, Int(result) - operation.again))
      operations[index].again = max(0, operation.again - Int(result))
      counters.writes += 1
      // The rest of a short write goes out again; if that fails there is an errno to report.
      if operations[index].length > 0 {
        if files[file].direct, Int(result) % FileSink.alignment != 0 { leaveDirect(file) }
        return enqueue(index)
      }
    } else {
      // A write of more than nothing that writes nothing does not happen on a healthy disk.
      let operation = operations[index]
      lose(max(0, operation.length - operation.again))
      failFile(
        file, .write, result == 0 ? EIO : -result,
        at: operation.offset + UInt64(operation.again))
    }
    release(index, in: &batch)
    advanceFile(file, in: &batch)
  }

  /// Gives a write's memory back, and the operation itself.
  private mutating func release(_ index: UInt32, in batch: inout Batch) {
    let base = Int(index) * limits.vectors
    for position in 0..<operations[index].claimCount {
      let claim = unsafe claims[base + position]
      switch claim.kind {
      case .lease: held.removeReader(claim.index, in: &batch)
      case .carry: carry.written(claim.index)
      case .block: blocks.written(claim.index)
      }
    }
    let file = operations[index].file
    files[file].writes -= 1
    operations[index].file = noIndex
    operations.give(index)
  }
}
