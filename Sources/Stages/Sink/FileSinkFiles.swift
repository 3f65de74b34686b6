import Glibc
import RingCore

extension FileSink {
  /// A file from its opening until its last request is answered, which may be after its
  /// connection's slot has a new connection.
  struct OpenFile: BitwiseCopyable {
    var descriptor: Int32 = -1
    var connection = Connection(slot: 0, serial: 0, peer: Endpoint())
    /// Bytes given a place in the file.
    var end: UInt64 = 0
    /// Bytes from the start known to be on the disk, how far they have to be, and how far they
    /// will be when the fsync under way succeeds.
    var synced: UInt64 = 0
    var syncGoal: UInt64 = 0
    var syncMark: UInt64 = 0
    var syncing = false
    /// Writes that are queued or in the kernel, and the one that still takes more bytes.
    var writes: UInt32 = 0
    var gathering = noIndex
    /// More bytes may come; or none will, and the last ones are being written.
    var attached = true
    var ending = false
    /// Which file of its connection it is, from 1, when it is due to end (CLOCK_MONOTONIC), and
    /// whether it ended for the next one.
    var sequence: UInt32 = 1
    var deadline = UInt64.max
    var rotated = false
    /// Another file's failure was told to the same connection.
    var told = false
    /// Whether writes go past the page cache; and how many bytes at the start of the block that is
    /// gathered are in the file already.
    var direct = false
    var flushed = 0
    /// The first error, what was being done, and the first byte that is missing for it.
    var failure: Int32 = 0
    var failedStep = SinkFailure.Step.write
    var failedAt: UInt64 = .max
    /// The fsync under way is the last one, after the failure.
    var settling = false
    /// The failure was reported: nothing about the file changes any more.
    var settled = false
  }

  /// Opens the file of a connection: open(2) on the receiving thread.
  mutating func openFile(for connection: Connection, in batch: inout Batch) {
    switch openTarget(template.path(for: connection), options) {
    case .success(let descriptor):
      slots[connection.slot].file = addFile(descriptor, connection)
    case .failure(let failure):
      append(failure)
      slots[connection.slot].refused = true
      var fault = Fault(
        .sink, record: 0, offset: 0, expected: 0, found: UInt64(failure.errno))
      fault.connection = connection.serial
      batch.refuse(fault)
    }
  }

  mutating func addFile(
    _ descriptor: Int32, _ connection: Connection, sequence: UInt32 = 1
  ) -> UInt32 {
    guard let index = files.take() else {
      // Each file without a connection owns a request, and there are as many files as both.
      invariant(false, "there is a file for every connection and every request")
      return noIndex
    }
    files[index] = OpenFile(
      descriptor: descriptor, connection: connection, sequence: sequence)
    counters.files += 1
    if options.direct { makeDirect(index) }
    return index
  }

  /// Tells the engine which connections' bytes have nowhere to go.
  mutating func refuseSettled(in batch: inout Batch) {
    refusalsWanted = false
    var asked = 0
    for index in 0..<UInt32(slots.capacity) {
      let slot = slots[index]
      guard slot.serial != 0, slot.file != noIndex, !slot.refused, files[slot.file].settled else {
        continue
      }
      // The engine takes 256 in a batch; the others follow with the next.
      guard asked < 128 else { return refusalsWanted = true }
      asked += 1
      slots[index].refused = true
      batch.refuse(fault(of: slot.file, serial: slot.serial), slot: index)
    }
  }

  func fault(of file: UInt32, serial: UInt64) -> Fault {
    let state = files[file]
    var fault = Fault(
      .sink, record: 0, offset: state.synced, expected: state.end, found: UInt64(state.failure))
    fault.connection = serial
    return fault
  }

  /// Notes that the bytes from `offset` on are missing.
  mutating func failFile(
    _ file: UInt32, _ step: SinkFailure.Step, _ code: Int32, at offset: UInt64
  ) {
    if files[file].failure == 0 {
      files[file].failure = code
      files[file].failedStep = step
    }
    files[file].failedAt = min(files[file].failedAt, offset, placedEnd(of: file))
  }

  /// Does what a file is ready for: fsync when its writes are through, then close.
  mutating func advanceFile(_ file: UInt32, in batch: inout Batch) {
    while !files[file].syncing {
      let state = files[file]
      if state.failure != 0, !state.settled {
        guard state.writes == 0 else { return }
        // Bytes behind the gap are of no use: the file ends where the stream was last whole. If
        // the file cannot be cut, the safe byte count still says where that is.
        _ = ftruncate(state.descriptor, off_t(state.failedAt))
        files[file].settling = true
        startSync(file, upTo: state.failedAt, in: &batch)
      } else if state.failure == 0, state.synced < state.syncGoal {
        let written = writtenPrefix(of: file)
        guard written >= state.syncGoal else { return }
        startSync(file, upTo: written, in: &batch)
      } else {
        if !state.attached, state.writes == 0 { closeFile(file, in: &batch) }
        return
      }
    }
  }

  /// Bytes from the start without a gap; the file has not failed.
  private func writtenPrefix(of file: UInt32) -> UInt64 {
    var prefix = placedEnd(of: file)
    guard files[file].writes > 0 else { return prefix }
    for index in 0..<UInt32(operations.capacity) {
      let operation = operations[index]
      if operation.file == file, operation.kind == .write {
        prefix = min(prefix, operation.offset)
      }
    }
    return prefix
  }

  /// Queues an fsync, or waits for one when no request is free.
  private mutating func startSync(_ file: UInt32, upTo mark: UInt64, in batch: inout Batch) {
    files[file].syncMark = mark
    if batch.submissions != nil, let index = operations.take() {
      operations[index] = Operation(kind: .sync, file: file)
      files[file].syncing = true
      return enqueue(index)
    }
    var result = fsync(files[file].descriptor)
    while result != 0, errno == EINTR { result = fsync(files[file].descriptor) }
    synced(file, result: result == 0 ? 0 : -errno, in: &batch)
  }

  /// An fsync was answered.
  mutating func synced(_ file: UInt32, result: Int32, in batch: inout Batch) {
    files[file].syncing = false
    counters.fsyncs += 1
    if result == 0 {
      if files[file].syncMark > files[file].synced {
        files[file].synced = files[file].syncMark
        tell(of: file, in: &batch)
      }
      // A failure that came while this fsync was under way is settled by the next one.
      if files[file].settling { settle(file, in: &batch) }
    } else {
      // Not tried again: the kernel reports a lost page once (fsync(2), EIO), and the next call
      // would succeed without it.
      failFile(file, .sync, -result, at: files[file].synced)
      files[file].failedAt = files[file].synced
      settle(file, in: &batch)
    }
  }

  private mutating func settle(_ file: UInt32, in batch: inout Batch) {
    files[file].settled = true
    let state = files[file]
    // It is the next file that could not be opened.
    let sequence = state.sequence + (state.failedStep == .open ? 1 : 0)
    append(
      SinkFailure(
        target: template.path(for: state.connection, sequence: sequence), step: state.failedStep,
        errno: state.failure, safeBytes: state.synced))
    if let next = successor(of: state) {
      // A stream with a gap ends: the file at hand keeps what it has.
      silenceFiles(of: state.connection, but: next)
      guard files[next].failure == 0 else { return }
      failFile(
        next, state.failedStep == .open ? .write : state.failedStep, state.failure,
        at: files[next].end)
      advanceFile(next, in: &batch)
    } else if state.attached, !state.ending {
      refusalsWanted = true
    } else if !state.told {
      silenceFiles(of: state.connection, but: file)
      batch.report(fault(of: file, serial: state.connection.serial))
    }
  }

  private mutating func closeFile(_ file: UInt32, in batch: inout Batch) {
    let descriptor = files[file].descriptor
    files[file].descriptor = -1
    if files[file].failure == 0 {
      let code = nameFile(files[file])
      if code != 0 {
        failFile(file, .rename, code, at: files[file].synced)
        settle(file, in: &batch)
      }
    }
    // A network file system may report here what it could not write. The descriptor is gone even
    // then, EINTR included (close(2)).
    if close(descriptor) != 0, errno != EINTR, files[file].failure == 0 {
      failFile(file, .close, errno, at: files[file].synced)
      settle(file, in: &batch)
    }
    files.give(file)
  }

  private mutating func append(_ failure: SinkFailure) {
    counters.failures += 1
    list.append(failure)
  }
}
