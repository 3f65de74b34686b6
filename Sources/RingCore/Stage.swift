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
}
