import CIngestKernel
import Glibc

/// The counters of one sending thread.
@usableFromInline
package struct SendTally: Sendable, Equatable, BitwiseCopyable {
  @usableFromInline package var bytes: UInt64 = 0
  @usableFromInline package var records: UInt64 = 0
  @usableFromInline package var sends: UInt64 = 0
  @usableFromInline package var zeroCopySends: UInt64 = 0
  @usableFromInline package var copiedSends: UInt64 = 0
  @usableFromInline package var copiedBytes: UInt64 = 0
  @usableFromInline package var notifications: UInt64 = 0
  @usableFromInline package var poolWaits: UInt64 = 0
  @usableFromInline package var enters: UInt64 = 0
  @usableFromInline package var shortSends: UInt64 = 0

  package init() {}
}

/// What a sending thread and the threads that watch it share: single-writer counters, and the words
/// by which it is told to stop.
@safe @usableFromInline
package final class SendShared: @unchecked Sendable {
  package let counters = SharedCounters(SendTally())
  let flags: UnsafeMutablePointer<UInt64>
  @inlinable static var stopFlag: Int { 0 }
  @inlinable static var abortFlag: Int { 1 }

  package init() {
    unsafe flags = .allocate(capacity: 2)
    unsafe flags.initialize(repeating: 0, count: 2)
  }

  deinit { unsafe flags.deallocate() }

  /// Finish the record under way and wait for what the kernel has.
  package func requestStop() { unsafe ik_store_relaxed_u64(flags + SendShared.stopFlag, 1) }
  /// Leave at once.
  package func requestAbort() { unsafe ik_store_relaxed_u64(flags + SendShared.abortFlag, 1) }
  package var stopRequested: Bool { unsafe ik_load_relaxed_u64(flags + SendShared.stopFlag) != 0 }
  package var abortRequested: Bool { unsafe ik_load_relaxed_u64(flags + SendShared.abortFlag) != 0 }

  /// Says to the peers of TCP streams whose last bytes the kernel has that nothing more will come.
  /// A peer that closes in turn acknowledges with that. One that stays open may take 40 ms to do so
  /// (TCP_DELACK_MIN in net/tcp.h), and notifications as long. Once for each stream.
  @unsafe
  func end(_ streams: UnsafeMutablePointer<SendStream>, _ count: Int) {
    for index in 0..<count {
      let stream = unsafe streams[index]
      guard stream.failure == 0, !stream.isShut, stream.inFlight == 0,
        stream.chainHead == SendPool.none
      else { continue }
      unsafe streams[index].isShut = true
      _ = shutdown(stream.descriptor, Int32(SHUT_WR))
    }
  }

  /// Ends the TCP streams that are well, and waits until each one's peer has acknowledged
  /// everything, for so many nanoseconds each; what fails is its stream's `failure`.
  @unsafe
  func finish(
    _ streams: UnsafeMutablePointer<SendStream>, _ count: Int, within nanoseconds: UInt64
  ) {
    unsafe end(streams, count)
    let limit = Int32(clamping: nanoseconds / 1_000_000)
    for index in 0..<count where unsafe streams[index].failure == 0 {
      unsafe streams[index].failure = -ik_tcp_finish(
        streams[index].descriptor, limit, flags + SendShared.abortFlag)
    }
  }
}

/// A stream as its ring keeps it.
@usableFromInline
struct SendStream: BitwiseCopyable {
  @usableFromInline var descriptor: Int32 = -1
  /// The errno that ended it, 0 while it is well.
  @usableFromInline var failure: Int32 = 0
  /// The content has no more for it.
  @usableFromInline var ended = false
  /// The peer was told that nothing more comes.
  var isShut = false
  /// Results to come.
  @usableFromInline var inFlight: UInt32 = 0
  /// Requests in the order of their bytes, from the first not yet taken as a whole.
  @usableFromInline var chainHead: UInt32 = SendPool.none
  @usableFromInline var chainTail: UInt32 = SendPool.none
  @usableFromInline var bytes: UInt64 = 0
  @usableFromInline var records: UInt64 = 0

  /// Whether it takes the next request as it comes.
  @inlinable @inline(__always)
  var isReady: Bool { failure == 0 && !ended && chainHead == SendPool.none }
}

/// What a stream came to.
package struct SendStreamResult: Sendable, Equatable {
  package var bytes: UInt64
  package var records: UInt64
  /// The errno that ended it early, 0 for none.
  package var failure: Int32
}
