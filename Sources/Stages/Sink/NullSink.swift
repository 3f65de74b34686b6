public import RingCore

/// Counts bytes and lets them go.
///
/// - Cost: one addition for a piece, nothing for a lease.
@frozen
public struct NullSink: Sink {
  @usableFromInline var discarded = SinkCounters()
  /// `bytes` counts what was let go of.
  @inlinable public var counters: SinkCounters { discarded }

  @inlinable
  public init() {}

  @inlinable @inline(__always)
  public mutating func take(
    _ piece: Piece, of lease: borrowing Lease, at start: UInt32, in batch: inout Batch
  ) {
    discarded.bytes &+= UInt64(piece.count)
  }

  @inlinable @inline(__always)
  public mutating func finish(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    lease.done()
  }

  @inlinable @inline(__always)
  public mutating func opened(_ connection: Connection, in batch: inout Batch) {}
  @inlinable @inline(__always)
  public mutating func closed(
    _ connection: Connection, _ end: StreamEnd, in batch: inout Batch
  ) {}
  @inlinable @inline(__always)
  public mutating func endBatch(in batch: inout Batch) {}
  @inlinable @inline(__always)
  public mutating func completed(_ index: UInt32, result: Int32, in batch: inout Batch) {}
  @inlinable @inline(__always)
  public var pending: Int { 0 }
  @inlinable @inline(__always)
  public var readsPayload: Bool { false }
}
