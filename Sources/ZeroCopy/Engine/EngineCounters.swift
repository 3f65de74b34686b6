public import CIngestKernel
import RingCore

/// What an engine counts, as plain words in its thread's own memory.
@frozen
public struct EngineCounters: BitwiseCopyable, Sendable {
  public var bytes: UInt64 = 0
  public var completions: UInt64 = 0
  public var leases: UInt64 = 0
  public var batches: UInt64 = 0
  public var enters: UInt64 = 0
  public var pauses: UInt64 = 0
  public var rearms: UInt64 = 0
  public var accepted: UInt64 = 0
  public var rejected: UInt64 = 0
  /// Times that accepting failed for want of descriptors or memory.
  public var acceptFailures: UInt64 = 0
  public var closed: UInt64 = 0
  public var reset: UInt64 = 0
  public var refused: UInt64 = 0
  /// Bytes that arrived on a connection after a stage had refused it, or after a stop had to end
  /// undrained.
  public var discardedBytes: UInt64 = 0
  /// Connections given to the engine whose queue their data comes through.
  public var handedOver: UInt64 = 0
  /// Bytes that the kernel copied into the area, as far as it tells.
  public var copiedBytes: UInt64 = 0
  /// Times that the NIC found no free buffer to receive into (as told by events, so at least).
  public var noBuffers: UInt64 = 0
  /// Receives that ended because the completion queue was full (ENOSPC).
  public var completionsFull: UInt64 = 0
  /// System calls that had the kernel read the refill queue.
  public var refillFlushes: UInt64 = 0
  /// Connections ended because their data came through a queue that is not the engine's (EFAULT).
  public var misplaced: UInt64 = 0
  /// Connections ended because bytes needed a copy that device memory cannot take.
  public var unsplit: UInt64 = 0
  /// The fewest buffers that the kernel had left at the end of a batch; falls, never rises.
  public var freeBuffersLow: UInt64 = 0
  /// CLOCK_MONOTONIC of the first and the last batch with data.
  public var firstByteAt: UInt64 = 0
  public var lastByteAt: UInt64 = 0

  @inlinable
  public init() {}
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
