import CIngestKernel
import RingCore

// With `sync-every` a timer of the ring runs while there are bytes that no fsync has answered for.
// It is no request that the end waits for: what is left then is fsynced with the files' ends.

extension FileSink {
  /// The timer's index, behind those of all operations.
  var timerIndex: UInt32 { UInt32(limits.operations) }

  static func timespec(_ nanoseconds: UInt64) -> __kernel_timespec {
    __kernel_timespec(
      tv_sec: Int64(nanoseconds / 1_000_000_000), tv_nsec: Int64(nanoseconds % 1_000_000_000))
  }

  /// Has the bytes that came fsynced after the time, unless there is no place for the request: the
  /// next batch tries again.
  mutating func armTimer(in batch: inout Batch) {
    guard let entry = unsafe batch.submissions?.next() else { return }
    unsafe ik_prep_timeout(entry, timerSpan)
    unsafe entry.pointee.user_data = batch.tag(timerIndex)
    timerIsArmed = true
    hasUnsynced = false
  }

  /// Fsyncs what every file has now.
  mutating func timerFired(in batch: inout Batch) {
    timerIsArmed = false
    for file in 0..<UInt32(files.capacity) {
      let state = files[file]
      guard state.descriptor >= 0, state.attached, state.failure == 0 else { continue }
      if options.direct { writeBlocks(of: file, in: &batch) }
      guard files[file].failure == 0, placedEnd(of: file) > files[file].syncGoal else { continue }
      files[file].syncGoal = placedEnd(of: file)
      advanceFile(file, in: &batch)
    }
  }

  /// Tells what an fsync has answered for.
  func tell(of file: UInt32, in batch: inout Batch) {
    guard options.syncEvery > 0 else { return }
    let state = files[file]
    batch.synced.append(
      SyncedFile(
        connection: state.connection.serial, thread: thread, sink: batch.branch,
        file: UInt64(state.sequence), bytes: state.synced))
  }
}
