public import RingCore
public import ZeroCopy

/// Wraps the stage of a thread: publishes its totals after each batch and hands what happens to
/// connections to the control thread. Costs nothing per lease.
@usableFromInline
struct ObservedStage<Inner: Stage & ~Copyable>: Stage, ~Copyable {
  @usableFromInline var inner: Inner
  @usableFromInline var events: SPSCProducer<ReceiveEvent>
  @usableFromInline let published: SharedCounters<ObservedTotals>
  @usableFromInline var observed = ObservedTotals()

  @usableFromInline
  init(
    _ inner: consuming Inner, events: consuming SPSCProducer<ReceiveEvent>,
    published: SharedCounters<ObservedTotals>
  ) {
    self.inner = inner
    self.events = events
    self.published = published
  }

  @inlinable @inline(__always)
  mutating func take(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    inner.take(lease, in: &batch)
  }

  @usableFromInline
  mutating func opened(_ connection: Connection, in batch: inout Batch) {
    inner.opened(connection, in: &batch)
    emit(.opened(connection))
  }

  @usableFromInline
  mutating func turnedAway(_ turnedAway: TurnedAway, in batch: inout Batch) {
    emit(.turnedAway(turnedAway))
  }

  @usableFromInline
  mutating func closed(_ connection: Connection, _ end: StreamEnd, in batch: inout Batch) {
    inner.closed(connection, end, in: &batch)
    emitFaults(&batch)
    if Inner.endsElsewhere { return }
    let summary = inner.summary(of: connection)
    emit(
      .closed(
        connection, end, bytes: batch.streamBytes, records: summary.records,
        digest: summary.digest))
  }

  @inlinable
  mutating func endBatch(in batch: inout Batch) {
    inner.endBatch(in: &batch)
    observed.stage = inner.totals
    if observed.faults != batch.faultTotal { emitFaults(&batch) }
    if !batch.synced.isEmpty { emitSynced(&batch) }
    // In place: they need not be copied first.
    published.publish(&observed, words: MemoryLayout<ObservedTotals>.size / 8)
  }

  @inlinable
  mutating func completed(
    _ index: UInt32, result: Int32, flags: UInt32, in batch: inout Batch
  ) {
    inner.completed(index, result: result, flags: flags, in: &batch)
  }

  @usableFromInline
  mutating func emitFaults(_ batch: inout Batch) {
    observed.faults = batch.faultTotal
    batch.drainFaults { fault in emit(.fault(fault)) }
  }

  @usableFromInline
  mutating func emitSynced(_ batch: inout Batch) {
    batch.synced.drain { file in emit(.synced(file)) }
  }

  @usableFromInline
  mutating func emit(_ event: ReceiveEvent) {
    if !events.push(event) { observed.eventsDropped += 1 }
  }

  @inlinable
  mutating func stop() {
    inner.stop()
    // What was still under way when an abort came is lost, which is known only now.
    observed.stage = inner.totals
    published.publish(observed)
  }
  @inlinable static var endsElsewhere: Bool { Inner.endsElsewhere }
  @inlinable var pending: Int { inner.pending }
  @inlinable var readsPayload: Bool { inner.readsPayload }
  @inlinable func failures() -> [String] { inner.failures() }
}

/// What ``ObservedStage`` publishes.
@usableFromInline
struct ObservedTotals: BitwiseCopyable, Sendable {
  @usableFromInline var stage = StageTotals()
  @usableFromInline var faults: UInt64 = 0
  @usableFromInline var eventsDropped: UInt64 = 0

  @usableFromInline
  init() {}
}
