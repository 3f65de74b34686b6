public import RingCore

/// One of two kinds of sink, chosen at the start: chains that need not be compiled for each kind
/// take several as one type, nested where there are more than two.
///
/// - Cost: a test for each call and level.
public struct EitherSink<One: Sink & ~Copyable, Other: Sink & ~Copyable>: Sink, ~Copyable {
  /// Exactly one is there.
  var one: One?
  var other: Other?

  public init(_ sink: consuming One) {
    one = consume sink
    other = nil
  }

  public init(other sink: consuming Other) {
    one = nil
    other = consume sink
  }

  public static var mayRefuse: Bool { One.mayRefuse || Other.mayRefuse }

  public mutating func take(
    _ piece: Piece, of lease: borrowing Lease, at start: UInt32, in batch: inout Batch
  ) {
    one?.take(piece, of: lease, at: start, in: &batch)
    other?.take(piece, of: lease, at: start, in: &batch)
  }

  public mutating func finish(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    if one != nil { return one!.finish(lease, in: &batch) }
    return other!.finish(lease, in: &batch)
  }

  public mutating func endRecord(of connection: Connection, in batch: inout Batch) {
    one?.endRecord(of: connection, in: &batch)
    other?.endRecord(of: connection, in: &batch)
  }

  public mutating func opened(_ connection: Connection, in batch: inout Batch) {
    one?.opened(connection, in: &batch)
    other?.opened(connection, in: &batch)
  }

  public mutating func closed(
    _ connection: Connection, _ end: StreamEnd, in batch: inout Batch
  ) {
    one?.closed(connection, end, in: &batch)
    other?.closed(connection, end, in: &batch)
  }

  public mutating func endBatch(in batch: inout Batch) {
    one?.endBatch(in: &batch)
    other?.endBatch(in: &batch)
  }

  public mutating func completed(_ index: UInt32, result: Int32, in batch: inout Batch) {
    completed(index, result: result, flags: 0, in: &batch)
  }

  public mutating func completed(
    _ index: UInt32, result: Int32, flags: UInt32, in batch: inout Batch
  ) {
    one?.completed(index, result: result, flags: flags, in: &batch)
    other?.completed(index, result: result, flags: flags, in: &batch)
  }

  public mutating func stop() {
    one?.stop()
    other?.stop()
  }

  public mutating func hasWork() -> Bool {
    if one != nil { return one!.hasWork() }
    return other!.hasWork()
  }

  public var pending: Int {
    switch one {
    case .some(let sink): return sink.pending
    case .none: break
    }
    switch other {
    case .some(let sink): return sink.pending
    case .none: return 0
    }
  }

  public var readsPayload: Bool {
    switch one {
    case .some(let sink): return sink.readsPayload
    case .none: break
    }
    switch other {
    case .some(let sink): return sink.readsPayload
    case .none: return false
    }
  }

  public var counters: SinkCounters {
    switch one {
    case .some(let sink): return sink.counters
    case .none: break
    }
    switch other {
    case .some(let sink): return sink.counters
    case .none: return SinkCounters()
    }
  }

  public var failures: [SinkFailure] {
    switch one {
    case .some(let sink): return sink.failures
    case .none: break
    }
    switch other {
    case .some(let sink): return sink.failures
    case .none: return []
    }
  }
}
