/// What is done with received bytes, on the thread that owns the ring.
///
/// The engine calls ``take(_:in:)`` once per lease, in the order in which each connection's bytes
/// arrived. A stage is a plain struct, composed at compile time: no existential, no allocation and
/// no lock belong on this path.
///
/// A stage that needs no state per connection implements ``take(_:in:)`` alone.
public protocol Stage: ~Copyable {
  /// Handles one lease and answers for it.
  mutating func take(_ lease: consuming Lease, in batch: inout Batch) -> Verdict

  /// A connection was accepted; its slot is free of earlier state.
  mutating func opened(_ connection: Connection, in batch: inout Batch)
  /// A connection was turned away; told once for an address and reason.
  mutating func turnedAway(_ turnedAway: TurnedAway, in batch: inout Batch)
  /// No more leases of this connection will come.
  mutating func closed(_ connection: Connection, _ end: StreamEnd, in batch: inout Batch)
  /// Every completion of the batch was handled. Submit what was gathered.
  mutating func endBatch(in batch: inout Batch)
  /// A request tagged ``OperationTag/Kind/stage`` finished with `result` (>= 0, or -errno).
  mutating func completed(_ index: UInt32, result: Int32, in batch: inout Batch)
  /// The same with the completion's `flags`, for requests that complete more than once: zero-copy
  /// sends (IORING_CQE_F_MORE, IORING_CQE_F_NOTIF). What engines call; others need not care.
  mutating func completed(_ index: UInt32, result: Int32, flags: UInt32, in batch: inout Batch)
  /// Work that must finish before the engine may stop: requests in flight, or held leases.
  var pending: Int { get }
  /// The engine is through: nothing comes after this. Ends what the stage started.
  mutating func stop()
  /// Whether streams are followed to their ends on another thread, which tells of them.
  static var endsElsewhere: Bool { get }
  /// Whether this stage reads payload with the CPU. Areas of device memory refuse such stages.
  var readsPayload: Bool { get }

  /// What this stage has done so far; published after every batch.
  var totals: StageTotals { get }
  /// What it knows of a connection; asked for when the connection has closed.
  func summary(of connection: Connection) -> StreamSummary
  /// What went wrong in the stage itself, as sentences; asked for once, after the run.
  func failures() -> [String]
}

/// What a stage counts, as plain words.
@frozen
public struct StageTotals: Equatable, BitwiseCopyable, Sendable {
  /// Records completed, and payload bytes in them.
  public var records: UInt64 = 0
  public var payloadBytes: UInt64 = 0
  /// Bytes that the sink wrote, and those of them that it had to copy first.
  public var sinkBytes: UInt64 = 0
  public var sinkCopiedBytes: UInt64 = 0
  /// Bytes that a sink's zero-copy sends took, and bytes that the kernel copied to send them on.
  public var sinkZeroCopyBytes: UInt64 = 0
  public var sinkKernelCopiedBytes: UInt64 = 0
  /// Records whose end, and bytes that, came to the sink and not to their target.
  public var sinkLostRecords: UInt64 = 0
  public var sinkLostBytes: UInt64 = 0
  /// Bytes of connections refused before these were shown to the sink, and bytes that a stage
  /// before it let go of.
  public var refusedBytes: UInt64 = 0
  public var stageDroppedBytes: UInt64 = 0
  /// How often a sink's reader was full, bytes that then waited aside, those of them that were
  /// written since, and how often the receiving thread had to wait all the same.
  public var sinkFullTimes: UInt64 = 0
  public var sinkSpilledBytes: UInt64 = 0
  public var sinkReplayedBytes: UInt64 = 0
  public var sinkSpillWaits: UInt64 = 0
  /// Records and bytes that a sink dropped because its reader was behind.
  public var sinkDroppedRecords: UInt64 = 0
  public var sinkDroppedBytes: UInt64 = 0

  /// How often a thread waited for the sink's reader, or for the next part of the chain.
  public var sinkWaits: UInt64 = 0

  @inlinable
  public init() {}

  /// Bytes that came to the chain: each is in one of these counts once nothing is under way.
  @inlinable public var accountedBytes: UInt64 {
    sinkBytes &+ sinkLostBytes &+ sinkDroppedBytes &+ stageDroppedBytes &+ refusedBytes
  }
}

/// What a stage knows of one stream.
@frozen
public struct StreamSummary: Equatable, BitwiseCopyable, Sendable {
  public var records: UInt64
  /// The digest of the stream's payload, where one was computed.
  public var digest: UInt64?

  @inlinable
  public init(records: UInt64 = 0, digest: UInt64? = nil) {
    self.records = records
    self.digest = digest
  }
}

extension Stage where Self: ~Copyable {
  @inlinable public mutating func opened(_ connection: Connection, in batch: inout Batch) {}
  @inlinable public mutating func turnedAway(_ turnedAway: TurnedAway, in batch: inout Batch) {}
  @inlinable public mutating func closed(
    _ connection: Connection, _ end: StreamEnd, in batch: inout Batch
  ) {}
  @inlinable public mutating func endBatch(in batch: inout Batch) {}
  @inlinable public mutating func completed(
    _ index: UInt32, result: Int32, in batch: inout Batch
  ) {}
  @inlinable public mutating func completed(
    _ index: UInt32, result: Int32, flags: UInt32, in batch: inout Batch
  ) {
    completed(index, result: result, in: &batch)
  }
  @inlinable public var pending: Int { 0 }
  @inlinable public mutating func stop() {}
  @inlinable @inline(__always) public static var endsElsewhere: Bool { false }
  @inlinable public var readsPayload: Bool { true }
  @inlinable public var totals: StageTotals { StageTotals() }
  @inlinable public func summary(of connection: Connection) -> StreamSummary { StreamSummary() }
  public func failures() -> [String] { [] }
}
