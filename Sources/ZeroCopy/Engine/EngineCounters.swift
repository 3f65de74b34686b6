public import CIngestKernel
public import RingCore

/// What an engine counts, as plain words in its thread's own memory.
@frozen
public struct EngineCounters: BitwiseCopyable, Sendable {
  /// CLOCK_MONOTONIC of the beginning of the batch that is being handled; 0 between two. First, and
  /// published alone: whoever looks sees a thread that does not get through.
  public var handlingSince: UInt64 = 0
  public var bytes: UInt64 = 0
  public var completions: UInt64 = 0
  public var leases: UInt64 = 0
  public var batches: UInt64 = 0
  public var enters: UInt64 = 0
  /// Bytes of completions that no copy can have made: a copy begins at the first byte of a buffer
  /// and is no longer than a page (io_uring/zcrx.c, io_zcrx_copy_chunk).
  public var placedBytes: UInt64 = 0
  /// What the kernel has copied out of fragments, where it counts that: of the whole interface
  /// queue, by the thread that registered it.
  public var copiedFragmentBytes: UInt64 = 0
  /// System calls that had the kernel read the refill queue.
  public var refillFlushes: UInt64 = 0
  /// The fewest buffers that the kernel had left at the end of a batch; falls, never rises.
  public var freeBuffersLow: UInt64 = 0
  /// CLOCK_MONOTONIC of the first and the last batch with data.
  public var firstByteAt: UInt64 = 0
  public var lastByteAt: UInt64 = 0
  /// Leases that stages hold now; the age in milliseconds of the oldest buffer with one, looked at
  /// ten times a second; bytes of all leases that were ever held.
  public var heldLeases: UInt64 = 0
  public var oldestHold: UInt64 = 0
  public var keptBytes: UInt64 = 0

  // What follows changes seldom, and is published when it has (``EngineCore/hasNews``).

  public var pauses: UInt64 = 0
  public var rearms: UInt64 = 0
  public var accepted: UInt64 = 0
  public var rejected: UInt64 = 0
  /// Connections turned away because their peer is not allowed, has as many open or has sent as
  /// much as one may, or is one more than are kept account of; and connections ended because their
  /// peer sent more than it may.
  public var notAllowed: UInt64 = 0
  public var peerConnections: UInt64 = 0
  public var peerBytes: UInt64 = 0
  public var strangers: UInt64 = 0
  public var limited: UInt64 = 0
  /// Times that accepting failed for want of descriptors or memory.
  public var acceptFailures: UInt64 = 0
  public var closed: UInt64 = 0
  public var reset: UInt64 = 0
  public var refused: UInt64 = 0
  /// Bytes that arrived on a connection after a stage had refused it, after its peer had sent all
  /// that it may, or after a stop had to end undrained.
  public var discardedBytes: UInt64 = 0
  /// Connections given to the engine whose queue their data comes through.
  public var handedOver: UInt64 = 0
  /// ``ReceiveSource`` as a word: what the other three words of copies mean.
  @usableFromInline var sourceWord: UInt64 = 0
  /// 1 where the kernel counts what it copies out of fragments (``copiedFragmentBytes``).
  public var countsCopies: UInt64 = 0
  /// Times that the NIC found no free buffer to receive into (as told by events, so at least).
  public var noBuffers: UInt64 = 0
  /// Receives that ended because the completion queue was full (ENOSPC).
  public var completionsFull: UInt64 = 0
  /// Connections ended because their data came through a queue that is not the engine's (EFAULT).
  public var misplaced: UInt64 = 0
  /// Connections ended because bytes needed a copy that device memory cannot take.
  public var unsplit: UInt64 = 0
  /// Connections ended because bytes needed a copy and found no buffer for it, nobody having one.
  public var starved: UInt64 = 0
  /// Bytes received by recv(2) because zero-copy receive had nothing to copy them into, and how
  /// often.
  public var salvagedBytes: UInt64 = 0
  public var salvages: UInt64 = 0
  /// What the parts of the chain cost in sampled batches.
  public var meter = Meter.Totals()

  @inlinable
  public init() {}

  /// The words that change with every batch of data; they come first.
  @usableFromInline static var busyWords: Int { 15 }

  public internal(set) var source: ReceiveSource {
    get { ReceiveSource(rawValue: sourceWord) ?? .socket }
    set { sourceWord = newValue.rawValue }
  }
}

/// The way that bytes take into an area.
public enum ReceiveSource: UInt64, Sendable {
  /// Ordinary receive: the kernel copies all of them.
  case socket
  /// A NIC's interface queue: placed, or copied where that failed.
  case queue
  /// An interface queue without a NIC: all of them are copied.
  case deviceless
  /// A NIC's interface queue over memory that the kernel cannot copy into: placed.
  case unreachable
}

/// Counters that one thread writes and any thread may read. Every word is read whole; a snapshot is
/// not one instant, which totals that only grow can bear.
@safe
public final class SharedCounters<Values: BitwiseCopyable & Sendable>: @unchecked Sendable {
  @usableFromInline let words: UnsafeMutablePointer<UInt64>
  @usableFromInline let zero: Values

  /// `zero` is the value before the first publication. `Values` must consist of 64-bit words.
  public init(_ zero: Values) {
    invariant(MemoryLayout<Values>.size % 8 == 0, "counters are 64-bit words")
    unsafe words = UnsafeMutablePointer<UInt64>.allocate(capacity: MemoryLayout<Values>.size / 8)
    unsafe UnsafeMutableRawPointer(words).initializeMemory(as: Values.self, to: zero)
    self.zero = zero
  }

  deinit { unsafe words.deallocate() }

  /// Publishes the owner's values.
  ///
  /// - Cost: one plain store per word; for the end of a batch, not for a buffer.
  @inlinable
  public func publish(_ values: Values) {
    var values = values
    unsafe withUnsafeBytes(of: &values) { bytes in
      for index in 0..<(bytes.count / 8) {
        unsafe ik_store_relaxed_u64(
          words + index, bytes.load(fromByteOffset: index * 8, as: UInt64.self))
      }
    }
  }

  /// Publishes the first words alone, in place.
  ///
  /// - Cost: one plain store per word.
  @inlinable @inline(__always)
  public func publish(_ values: inout Values, words count: Int) {
    unsafe withUnsafeBytes(of: &values) { bytes in
      for index in 0..<count {
        unsafe ik_store_relaxed_u64(
          words + index, bytes.load(fromByteOffset: index * 8, as: UInt64.self))
      }
    }
  }

  /// Publishes the first word alone.
  @inlinable @inline(__always)
  public func publish(first word: UInt64) { unsafe ik_store_relaxed_u64(words, word) }

  /// The values last published, word by word.
  public func snapshot() -> Values {
    var values = zero
    unsafe withUnsafeMutableBytes(of: &values) { bytes in
      for index in 0..<(bytes.count / 8) {
        unsafe bytes.storeBytes(
          of: ik_load_relaxed_u64(words + index), toByteOffset: index * 8, as: UInt64.self)
      }
    }
    return values
  }
}
