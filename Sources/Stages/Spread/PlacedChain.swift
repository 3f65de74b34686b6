public import RingCore

/// The part of a chain that runs on a thread of its own: does what the items say.
///
/// The thread calls ``run(in:ended:)`` for what the queue has, then ``endBatch(in:)``, again and
/// again.
@frozen @safe
public struct PlacedChain<Rest: Downstream & ~Copyable>: ~Copyable {
  public var rest: Rest
  @usableFromInline var items: SPSCConsumer<Item>
  @usableFromInline var returns: SPSCProducer<Return>
  let crossing: Crossing
  @usableFromInline let back: Bell
  @usableFromInline let quarter: Int
  @usableFromInline let slots: UnsafeMutablePointer<ChainSlot<Bool>>
  /// The last item came.
  @usableFromInline var stopped = false
  /// Pieces of a lease came and its end did not.
  @usableFromInline var isInsideLease = false
  /// Bytes that came after their connection was refused.
  @usableFromInline var refusedBytes: UInt64 = 0
  /// Bytes that went through.
  @usableFromInline var bytes: UInt64 = 0
  /// Leases given back that a sleeping owner was not woken for.
  @usableFromInline var unannounced = 0

  /// Items that are done at a time before what came of them is passed on.
  @inlinable public static var burst: Int { 512 }

  public init(_ rest: consuming Rest, _ crossing: Crossing) {
    self.rest = rest
    self.crossing = crossing
    items = crossing.items.takeConsumer()
    returns = crossing.returns.takeProducer()
    back = crossing.back.bell
    quarter = crossing.quarter
    unsafe slots = UnsafeMutablePointer.allocate(capacity: crossing.maxConnections)
    unsafe slots.initialize(repeating: ChainSlot(false), count: crossing.maxConnections)
  }

  deinit { unsafe slots.deallocate() }

  /// Bytes of the leases that were finished.
  @inlinable public var totalBytes: UInt64 { bytes }
  /// What the sink says, and what did not come to it.
  @inlinable public var counters: SinkCounters {
    var counters = rest.counters
    counters.refusedBytes &+= refusedBytes
    return counters
  }
  /// Items that wait.
  @inlinable public var depth: Int { mutating get { items.available() } }

  /// The last item came; nothing comes after it.
  @inlinable public var isStopped: Bool { stopped }

  /// Whether there is something to do.
  @inlinable
  public mutating func hasWork() -> Bool { items.available() > 0 || rest.hasWork() }

  /// Does what the next items say, at most ``burst`` of them. Returns how many there were.
  /// `ended` is called for each stream that has ended, whose faults are in the batch.
  @inlinable @inline(never)
  public mutating func run(
    in batch: inout Batch,
    ended: (inout Batch, Connection, StreamEnd, _ bytes: UInt64, StreamSummary) -> Void
  ) -> Int {
    var count = 0
    while count < Self.burst, let item = items.pop() {
      count += 1
      switch item {
      case .piece(let piece, let lease, let start, let expected):
        isInsideLease = true
        lookAhead(batch.area)
        take(piece, lease, start, expected, &batch)
      case .finish(let lease):
        isInsideLease = false
        bytes &+= UInt64(lease.length)
        if batch.meter.isOn { batch.meter.start() }
        let verdict = rest.finish(lease.makeLease(), in: &batch)
        if batch.meter.isOn { batch.meter.lap(.sink) }
        if let released = verdict.take() { batch.release(released) }
        if batch.refused { refuse(lease.connection, &batch) }
      case .opened(let connection):
        unsafe slots[Int(connection.slot)] = ChainSlot(false)
        unsafe slots[Int(connection.slot)].serial = connection.serial
        rest.opened(connection, in: &batch)
        if batch.refused { refuse(connection.slot, &batch) }
      case .endRecord(let connection):
        unsafe slots[Int(connection.slot)].endRecord()
        rest.endRecord(of: connection, in: &batch)
        if batch.refused { refuse(connection.slot, &batch) }
      case .closed(let connection, let end, let bytes, let digest):
        let summary = close(connection, end, bytes, digest, &batch)
        if !Rest.isRemote { ended(&batch, connection, end, bytes, summary) }
      case .stop: stopped = true
      }
    }
    return count
  }

  /// Asks for the first line of the lease behind this one, of which this piece may be the last: its
  /// end stands between them.
  @inlinable @inline(__always)
  func lookAhead(_ area: AreaMemory) {
    guard rest.readsPayload, case .piece(_, let lease, let start, _) = items.peek(1) else { return }
    area.prefetch(at: lease.offset &+ UInt64(start))
  }

  @inlinable @inline(__always)
  mutating func take(
    _ piece: Piece, _ words: LeaseWords, _ start: UInt32, _ expected: Expectation,
    _ batch: inout Batch
  ) {
    // The thread before checked the slot when the connection was opened.
    let slot = unsafe slots + Int(words.connection)
    // Refused, which the owner does not know yet.
    if unsafe slot.pointee.framing {
      refusedBytes &+= UInt64(piece.count)
      return
    }
    let lease = words.makeLease()
    let measured = batch.meter.isOn
    if measured { batch.meter.start() }
    let flaw = rest.take(
      piece, of: lease, at: start, expected: expected, measured: measured, in: &batch)
    _ = lease.surrender().take()
    if let flaw { unsafe batch.report(slot.pointee.fault(flaw)) }
    unsafe slot.pointee.add(piece)
    if batch.refused { refuse(words.connection, &batch) }
  }

  @inlinable
  mutating func close(
    _ connection: Connection, _ end: StreamEnd, _ bytes: UInt64, _ digest: UInt64?,
    _ batch: inout Batch
  ) -> StreamSummary {
    let slot = unsafe slots + Int(connection.slot)
    batch.setStreamBytes(bytes)
    batch.streamDigest = digest
    if let flaw = rest.closed(connection, end, in: &batch) {
      unsafe batch.report(slot.pointee.streamFault(flaw))
    }
    batch.refused = false
    return unsafe StreamSummary(
      records: slot.pointee.counts.records,
      digest: rest.digest(slot: Int(connection.slot)) ?? digest)
  }

  @usableFromInline
  mutating func refuse(_ slot: UInt32, _ batch: inout Batch) {
    batch.refused = false
    guard unsafe !slots[Int(slot)].framing else { return }
    unsafe slots[Int(slot)].framing = true
    pushBack(unsafe .refuse(slot: slot, serial: slots[Int(slot)].serial))
  }

  @usableFromInline
  mutating func pushBack(_ word: Return) {
    unannounced += 1
    let fits = returns.append(word)
    invariant(fits, "what comes back has room for every lease and every connection")
  }

  /// Passes on what came of the items: leases that are free, connections that cannot go on.
  ///
  /// A lease may have more pieces than a burst has items. What comes after this part is not told
  /// of a batch's end within one: it would have the kernel read from a lease that is not kept yet.
  @inlinable
  public mutating func endBatch(in batch: inout Batch) {
    if !isInsideLease {
      if batch.meter.isOn { batch.meter.start() }
      rest.endBatch(in: &batch)
      if batch.meter.isOn { batch.meter.lap(.sink) }
    }
    while let slot = batch.takeRefusal() { refuse(slot, &batch) }
    batch.takeReturns { offset in pushBack(.lease(offset)) }
    returns.flush()
    if unannounced >= quarter { announce() }
  }

  /// Wakes the thread before this one if it waits for leases. To be called before this one sleeps.
  @inlinable
  public mutating func announce() {
    guard unannounced > 0 else { return }
    unannounced = 0
    back.ring()
  }
}
