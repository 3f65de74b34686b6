public import RingCore

/// Counters of a running receiver, read from outside; each only grows.
public struct ReceiveCounters: Codable, Sendable, Equatable {
  /// Payload and framing bytes taken from sockets.
  public var bytes: UInt64 = 0
  /// Data completions, and the leases made of them.
  public var completions: UInt64 = 0
  public var leases: UInt64 = 0
  /// Batches handled: each is one acquire of the CQ tail.
  public var batches: UInt64 = 0
  /// io_uring_enter(2) calls.
  public var enters: UInt64 = 0
  /// Records completed, and payload bytes in them.
  public var records: UInt64 = 0
  public var payloadBytes: UInt64 = 0
  /// How the bytes came into the area; the classes sum up to `bytes`.
  public var truth = ByteTruth()
  /// Those of them that were certainly copied (``ByteTruth/copied``).
  public var copiedBytes: UInt64 = 0
  /// Connections given to the thread whose queue their data comes through.
  public var handedOver: UInt64 = 0
  /// Times that the NIC found no free buffer, as told by events: at least so many.
  public var noBuffers: UInt64 = 0
  /// Receives that ended because the completion queue was full (ENOSPC), and were armed again.
  public var completionsFull: UInt64 = 0
  /// System calls that had the kernel read the refill queue (FLUSH_RQ).
  public var refillFlushes: UInt64 = 0
  /// Connections ended because their data came through a queue that is not ours (EFAULT),
  /// because the NIC left bytes unsplit that device memory cannot take (ENOMEM), and because it
  /// left some for which the area had no buffer free for ten seconds (ENOMEM, too).
  public var misplaced: UInt64 = 0
  public var unsplit: UInt64 = 0
  public var starved: UInt64 = 0
  /// Bytes received by recv(2) because zero-copy receive had no buffer to copy them into, or may
  /// not copy (device memory), and how often.
  public var salvagedBytes: UInt64 = 0
  public var salvages: UInt64 = 0
  /// Receives that ended for want of free buffers (ENOBUFS) and waited for some.
  public var pauses: UInt64 = 0
  /// Receives armed again after the kernel ended them for another reason.
  public var rearms: UInt64 = 0
  public var accepted: UInt64 = 0
  public var closed: UInt64 = 0
  /// Connections that ended by a socket error, and connections refused by a stage.
  public var reset: UInt64 = 0
  public var refused: UInt64 = 0
  /// Connections turned away because `maxConnections` were open.
  public var rejected: UInt64 = 0
  /// Connections turned away because ``ReceiveConfiguration/allow`` does not name their peer,
  /// because it has as many open or has sent as much as one may, and because bytes of as many peers
  /// as there is room for were counted already.
  public var notAllowed: UInt64 = 0
  public var peerConnections: UInt64 = 0
  public var peerBytes: UInt64 = 0
  public var strangers: UInt64 = 0
  /// Connections ended because their peer sent more than it may.
  public var limited: UInt64 = 0
  /// Times that accepting failed for want of descriptors (`ulimit -n`) or memory.
  public var acceptFailures: UInt64 = 0
  /// Bytes that arrived on connections after they were refused or their peer had sent all that it
  /// may, or after the time that a stop has for what sockets hold.
  public var discardedBytes: UInt64 = 0
  /// Bytes that came in the same batch as what their connection was refused for, and were not shown
  /// to the sink any more.
  public var refusedBytes: UInt64 = 0
  /// Bytes of records that a stage before the sink let go of.
  public var stageDroppedBytes: UInt64 = 0
  /// Faults reported by stages: digest mismatches, framing errors, sequence gaps.
  public var faults: UInt64 = 0
  /// Bytes the sink wrote, and those of them it had to copy first.
  public var sinkBytes: UInt64 = 0
  public var sinkCopiedBytes: UInt64 = 0
  /// Bytes that the sink's zero-copy sends took and the kernel has let go of, and bytes that the
  /// kernel copied to send them on, be it that a zero-copy send copied after all.
  public var sinkZeroCopyBytes: UInt64 = 0
  public var sinkKernelCopiedBytes: UInt64 = 0
  /// Records and bytes that came to the sink and not to their target: no consumer process took
  /// them, or one had them when it went away, their write failed, or their record never ended.
  public var sinkLostRecords: UInt64 = 0
  public var sinkLostBytes: UInt64 = 0
  /// How often the sink's reader was full, bytes that then waited aside, those of them that were
  /// written since, and how often the receiving thread had to wait all the same.
  public var sinkFullTimes: UInt64 = 0
  public var sinkSpilledBytes: UInt64 = 0
  public var sinkReplayedBytes: UInt64 = 0
  public var sinkSpillWaits: UInt64 = 0
  /// How often a thread waited for the sink's reader, or for the next part of the chain.
  public var sinkWaits: UInt64 = 0
  /// Records and bytes that the sink dropped because its reader was behind.
  public var sinkDroppedRecords: UInt64 = 0
  public var sinkDroppedBytes: UInt64 = 0
  /// Events that found no place in the queue to the control thread; the counters have them.
  public var eventsDropped: UInt64 = 0
  /// The fewest buffers that the kernel of one thread had left at the end of a batch; the one
  /// count that falls. Nil where only the kernel knows (`zcrx`, `nodev`).
  public var freeBuffersLow: UInt64?

  public init() {}

  /// Every received byte is in one of these counts. The sum is ``bytes`` where a run has ended (not
  /// by an abort with a spread chain), and the sink is one that writes framing, too; two sinks
  /// (`tee`) count what comes to them twice.
  public var accountedBytes: UInt64 {
    sinkBytes + sinkLostBytes + sinkDroppedBytes + stageDroppedBytes + refusedBytes
      + discardedBytes
  }
}

/// What happened to a connection, handed out in order of happening.
public enum ReceiveEvent: BitwiseCopyable, Sendable {
  case opened(Connection)
  case closed(Connection, StreamEnd, bytes: UInt64, records: UInt64, digest: UInt64?)
  case fault(Fault)
  /// Told once for a peer address and reason; the counters have all.
  case turnedAway(TurnedAway)
  /// With `sync-every` of the file sink: more of a file is on the disk.
  case synced(SyncedFile)
}

/// What a run came to.
public struct ReceiveReport: Sendable {
  public var configuration: ReceiveConfiguration
  public var counters: ReceiveCounters
  /// From the first byte to the last, and from start to finish, in seconds.
  public var busySeconds: Double
  public var elapsedSeconds: Double
  /// CPU time of the receiving threads, in seconds.
  public var cpuSeconds: Double
  public var engine: String
  /// Why a better engine or receive mode was not taken, as sentences.
  public var remarks: [String]
  /// The first failure that ended the run early, nil for a clean finish.
  public var failure: IngestError?
  /// Why bytes were copied, or may have been, as sentences.
  public var copyHints: [String] = []
  /// What of the NIC is not as it was before, as sentences; empty where all is.
  public var notRestored: [String]
}
