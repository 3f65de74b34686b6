public import RingCore

/// The sink behind plugins, as functions that are compiled for it where this is made. Those that a
/// batch calls are called once for all of it.
@safe
public struct PluginNext: ~Copyable {
  /// Passes pieces on and answers for leases; whether some connection was refused on the way, and
  /// how many bytes of such ones went no further.
  @usableFromInline let replay:
    (UnsafeMutablePointer<PluginPiece>, Int, UnsafeMutablePointer<PluginSlot>, inout Batch) -> (
      hasRefused: Bool, unshown: UInt64
    )
  @usableFromInline let opened: (Connection, inout Batch) -> Void
  @usableFromInline let endRecord: (Connection, inout Batch) -> Void
  @usableFromInline let closed: (Connection, StreamEnd, inout Batch) -> Void
  @usableFromInline let endBatch: (inout Batch) -> Void
  @usableFromInline let completed: (UInt32, Int32, UInt32, inout Batch) -> Void
  @usableFromInline let stop: () -> Void
  @usableFromInline let pending: () -> Int
  @usableFromInline let readsPayload: () -> Bool
  @usableFromInline let counters: () -> SinkCounters
  @usableFromInline let failures: () -> [SinkFailure]
  @usableFromInline let stageFailures: () -> [String]
  @usableFromInline let release: () -> Void

  /// The functions of one sink, which lives until this value ends.
  @inlinable
  public init<Next: Sink & ~Copyable>(_ sink: consuming Next) {
    let next = UnsafeMutablePointer<Next>.allocate(capacity: 1)
    unsafe next.initialize(to: sink)
    unsafe replay = { pieces, count, slots, batch in
      unsafe PluginNext.replay(pieces, count, slots, to: &next.pointee, in: &batch)
    }
    opened = { connection, batch in unsafe next.pointee.opened(connection, in: &batch) }
    endRecord = { connection, batch in unsafe next.pointee.endRecord(of: connection, in: &batch) }
    closed = { connection, end, batch in unsafe next.pointee.closed(connection, end, in: &batch) }
    endBatch = { batch in unsafe next.pointee.endBatch(in: &batch) }
    completed = { index, result, flags, batch in
      unsafe next.pointee.completed(index, result: result, flags: flags, in: &batch)
    }
    stop = { unsafe next.pointee.stop() }
    pending = { unsafe next.pointee.pending }
    readsPayload = { unsafe next.pointee.readsPayload }
    counters = { unsafe next.pointee.counters }
    failures = { unsafe next.pointee.failures }
    stageFailures = { unsafe next.pointee.stageFailures() }
    release = {
      unsafe next.deinitialize(count: 1)
      unsafe next.deallocate()
    }
  }

  deinit { release() }

  @inlinable
  static func replay<Next: Sink & ~Copyable>(
    _ pieces: UnsafeMutablePointer<PluginPiece>, _ count: Int,
    _ slots: UnsafeMutablePointer<PluginSlot>, to next: inout Next, in batch: inout Batch
  ) -> (hasRefused: Bool, unshown: UInt64) {
    var hasRefused = false
    var unshown: UInt64 = 0
    for index in 0..<count {
      let piece = unsafe pieces + index
      // `take` and `finish` got the words from a lease whose claim went with them.
      let words = unsafe piece.pointee.lease
      // `opened` checked the slot.
      let slot = unsafe slots + Int(words.connection)
      if unsafe piece.pointee.isFinish {
        let verdict = next.finish(words.makeLease(), in: &batch)
        if let released = verdict.take() { batch.release(released) }
      } else if unsafe piece.pointee.isStopped {
        continue
      } else if unsafe slot.pointee.isRefusedBehind {
        unshown &+= UInt64(unsafe piece.pointee.piece.count)
      } else {
        let lease = words.makeLease()
        unsafe next.take(piece.pointee.piece, of: lease, at: piece.pointee.start, in: &batch)
        _ = lease.surrender().take()
      }
      if batch.refused {
        batch.refused = false
        hasRefused = true
        unsafe slot.pointee.isRefusedBehind = true
      }
    }
    return (hasRefused, unshown)
  }
}
