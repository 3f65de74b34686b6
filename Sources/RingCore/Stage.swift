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
  /// No more leases of this connection will come.
  mutating func closed(_ connection: Connection, _ end: StreamEnd, in batch: inout Batch)
  /// Every completion of the batch was handled. Submit what was gathered.
  mutating func endBatch(in batch: inout Batch)
  /// A request tagged ``OperationTag/Kind/stage`` finished with `result` (>= 0, or -errno).
  mutating func completed(_ index: UInt32, result: Int32, in batch: inout Batch)
  /// Work that must finish before the engine may stop: requests in flight, or held leases.
  var pending: Int { get }
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

  @inlinable
  public init() {}
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
  @inlinable public mutating func closed(
    _ connection: Connection, _ end: StreamEnd, in batch: inout Batch
  ) {}
  @inlinable public mutating func endBatch(in batch: inout Batch) {}
  @inlinable public mutating func completed(
    _ index: UInt32, result: Int32, in batch: inout Batch
  ) {}
  @inlinable public var pending: Int { 0 }
  @inlinable public var readsPayload: Bool { true }
  @inlinable public var totals: StageTotals { StageTotals() }
  @inlinable public func summary(of connection: Connection) -> StreamSummary { StreamSummary() }
  public func failures() -> [String] { [] }
}
