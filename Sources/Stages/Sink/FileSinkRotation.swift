import CIngestKernel
import Glibc
import RingCore

// A file ends where the record that made it long or old enough does; the next record starts the
// next file. What is still to be written of a file that has ended goes on beside it.

extension FileSink {
  /// Starts the next file when the one at hand is due. Called where a record begins, or a lease of
  /// a stream without records.
  mutating func rotateIfDue(slot: UInt32, in batch: inout Batch) {
    let file = slots[slot].file
    guard file != noIndex, files[file].failure == 0 else { return }
    let filled = files[file].end + UInt64(runLength)
    guard filled > 0 else {
      // A file's age counts from its first record: none ends for being empty for long.
      let (deadline, never) = batch.now.addingReportingOverflow(options.rotateEvery)
      files[file].deadline = options.rotateEvery == 0 || never ? .max : deadline
      return
    }
    let isFull = options.rotate > 0 && filled >= UInt64(options.rotate)
    guard isFull || batch.now >= files[file].deadline else { return }
    writeRun(slot: slot, in: &batch)
    if files[file].failure == 0 { rotate(file, in: &batch) }
  }

  /// Ends a file and gives its connections the next one: open(2) on the receiving thread.
  private mutating func rotate(_ file: UInt32, in batch: inout Batch) {
    let state = files[file]
    let path = template.path(for: state.connection, sequence: state.sequence + 1)
    switch openTarget(path, options) {
    // Those of files that are being finished come back soon; it is tried again at the next record.
    case .failure(let failure) where failure.errno == EMFILE || failure.errno == ENFILE:
      counters.lateRotations += 1
    case .failure(let failure):
      if options.direct { writeBlocks(of: file, in: &batch) }
      failFile(file, .open, failure.errno, at: state.end)
      advanceFile(file, in: &batch)
    case .success(let descriptor):
      let next = addFile(descriptor, state.connection, sequence: state.sequence + 1)
      if options.rotateEvery > 0 {
        let (deadline, never) = batch.now.addingReportingOverflow(options.rotateEvery)
        files[next].deadline = never ? .max : deadline
      }
      switchFile(file, to: next)
      // Last, so that what goes wrong with it is told to the next one's connections.
      files[file].rotated = true
      endFile(file, in: &batch)
    }
  }

  private mutating func switchFile(_ file: UInt32, to next: UInt32) {
    guard options.layout == .one else {
      slots[files[file].connection.slot].file = next
      return
    }
    sharedFile = next
    for index in 0..<UInt32(slots.capacity) where slots[index].file == file {
      slots[index].file = next
    }
  }

  /// No byte comes after these: what is under way finishes, then the file is closed.
  mutating func endFile(_ file: UInt32, in batch: inout Batch) {
    files[file].ending = true
    if options.direct { writeBlocks(of: file, in: &batch) }
    files[file].attached = false
    if options.sync != .none { files[file].syncGoal = files[file].end }
    advanceFile(file, in: &batch)
  }

  /// The file that takes the bytes after those of one that was ended; nil when its connection is
  /// gone.
  func successor(of state: OpenFile) -> UInt32? {
    guard state.rotated else { return nil }
    if options.layout == .one { return sharedFile }
    let slot = slots[state.connection.slot]
    return slot.serial == state.connection.serial && slot.file != noIndex ? slot.file : nil
  }

  /// One fault says that a connection's data is lost; what becomes of its other files that are not
  /// finished is among the failures.
  func silenceFiles(of connection: Connection, but file: UInt32) {
    for index in 0..<UInt32(files.capacity)
    where index != file && files[index].connection.serial == connection.serial {
      files[index].told = true
    }
  }

  /// Gives a file that is whole its name; 0 or what failed, as an errno.
  func nameFile(_ state: OpenFile) -> Int32 {
    guard options.sync == .rename else { return 0 }
    let path = template.path(for: state.connection, sequence: state.sequence)
    return unsafe -ik_rename(path + FileSink.partSuffix, path, options.overwrite ? 1 : 0)
  }

  /// What the name of a file ends with until it is whole, with `sync=rename`.
  static var partSuffix: String { ".part" }
}
