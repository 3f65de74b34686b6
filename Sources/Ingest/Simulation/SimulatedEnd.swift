import RingCore
import Stages

/// The end of a simulated chain, where its results are found whichever thread it ran on.
///
/// One thread at a time touches it: the one that runs it, then whoever joined that one.
final class SimulatedEnd<S: RecordStage & ~Copyable>: @unchecked Sendable {
  var staged: Staged<S, CollectingSink>

  init(_ staged: consuming Staged<S, CollectingSink>) { self.staged = staged }
}

/// Passes everything on to a ``SimulatedEnd``.
struct SimulatedSink<S: RecordStage & ~Copyable>: Sink, ~Copyable {
  private let end: SimulatedEnd<S>

  init(_ end: SimulatedEnd<S>) { self.end = end }

  static var mayRefuse: Bool { true }

  mutating func take(
    _ piece: Piece, of lease: borrowing Lease, at start: UInt32, in batch: inout Batch
  ) {
    end.staged.take(piece, of: lease, at: start, in: &batch)
  }
  mutating func finish(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    end.staged.finish(lease, in: &batch)
  }
  mutating func endRecord(of connection: Connection, in batch: inout Batch) {
    end.staged.endRecord(of: connection, in: &batch)
  }
  mutating func opened(_ connection: Connection, in batch: inout Batch) {
    end.staged.opened(connection, in: &batch)
  }
  mutating func closed(_ connection: Connection, _ how: StreamEnd, in batch: inout Batch) {
    end.staged.closed(connection, how, in: &batch)
  }
  mutating func endBatch(in batch: inout Batch) { end.staged.endBatch(in: &batch) }
  mutating func completed(_ index: UInt32, result: Int32, in batch: inout Batch) {}
  var pending: Int { end.staged.pending }
  var readsPayload: Bool { end.staged.readsPayload }
  var counters: SinkCounters { end.staged.counters }
  func stageFailures() -> [String] { end.staged.stageFailures() }
}

/// Keeps payload by record.
struct CollectingSink: Sink, ~Copyable {
  var records: [[[UInt8]]]
  private var open: [[UInt8]?]
  private(set) var counters = SinkCounters()

  init(_ connections: Int) {
    records = Array(repeating: [], count: connections)
    open = Array(repeating: nil, count: connections)
  }

  mutating func take(
    _ piece: Piece, of lease: borrowing Lease, at start: UInt32, in batch: inout Batch
  ) {
    let slot = Int(lease.connection)
    let payload = batch.area.withBytes(of: lease) { bytes in
      let first = Int(start + piece.lead)
      return (first..<first + Int(piece.payload)).map {
        unsafe bytes.unsafeLoad(fromByteOffset: $0, as: UInt8.self)
      }
    }
    open[slot] = (open[slot] ?? []) + payload
    counters.bytes += UInt64(piece.count)
    if piece.last { endRecord(slot) }
  }

  private mutating func endRecord(_ slot: Int) {
    if let record = open[slot] { records[slot].append(record) }
    open[slot] = nil
  }

  mutating func endRecord(of connection: Connection, in batch: inout Batch) {
    endRecord(Int(connection.slot))
  }
  /// What is left of a stream without records, or of a record that did not end.
  mutating func closed(_ connection: Connection, _ end: StreamEnd, in batch: inout Batch) {
    endRecord(Int(connection.slot))
  }
  mutating func finish(_ lease: consuming Lease, in batch: inout Batch) -> Verdict { lease.done() }
  mutating func opened(_ connection: Connection, in batch: inout Batch) {}
  mutating func endBatch(in batch: inout Batch) {}
  mutating func completed(_ index: UInt32, result: Int32, in batch: inout Batch) {}
  var pending: Int { 0 }
  var readsPayload: Bool { true }
}
