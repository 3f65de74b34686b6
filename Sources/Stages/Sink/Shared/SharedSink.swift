import CIngestShm
import Glibc
public import RingCore

/// Hands records to another process without a copy: the consumer maps the area and reads them where
/// they were received. What it needs for that is in `ingest_shm.h`.
///
/// Every lease is held until the consumer gives it back. Where the ring is full, or as many leases
/// are out as may be, the receiving thread waits for the consumer in steps of at most 100 ms, in
/// which it notices the consumer's end and a stop; meanwhile buffers run out, and TCP holds the
/// senders back. A record is a few words in the ring; nothing of it is copied or read here.
///
/// With `full=drop` no record begins that the consumer has no room for: half of the ring, half of
/// the leases and `queue` bytes are for records as they begin, the rest for what follows of them. A
/// record that has begun is waited for.
///
/// A consumer that goes away, or says what cannot be, loses what it had: its leases go back to the
/// area, and a ``SinkFailure`` counts their records and bytes. One that only stalls is waited for.
///
/// Memory, fixed at the start: 64 B x `ring` and 8 B for each claim (at most 4097) in a memfd that
/// the consumer shares, 40 B x claims, 40 B x connections. A consumer's end takes a new memfd.
///
/// - Cost: a record piece is one cache line written; a batch one release store, one fence, and a
///   send(2) of a byte where the consumer sleeps.
@safe
public struct SharedSink: Sink, ~Copyable {
  let options: SharedSinkOptions
  let control: RunControl
  let area: Area
  var link: ConsumerLink
  var memory: SharedRingMemory
  var ring: SharedRing
  var claims: SharedClaims
  var slots: SlotPool<Slot>

  var state = State.absent
  /// Whether pieces go into the ring, where they wait for whoever reads it.
  var isTaking: Bool
  /// Tells rings apart: connections are announced anew in each.
  var epoch: UInt32 = 1
  var hand = Hand()

  var listenerPolled = false
  var connectionPolled = false
  var refusalsWanted = false
  /// What came while nobody took it.
  var untaken = SharedClaims.Content()
  var hasGivenUp = false
  /// Why nobody takes any more; 0 while somebody may.
  var fault: Int32 = 0
  var list = FailureList()
  public internal(set) var counters = SinkCounters()

  /// The area as the consumer gets it.
  struct Area {
    let descriptor: Int32
    let byteCount: Int
    let thread: Int
  }

  enum State: UInt8 {
    /// No consumer is connected.
    case absent
    case attached
    /// None will be any more.
    case ended
  }

  /// What is known of a connection.
  struct Slot: BitwiseCopyable {
    /// Nil while the slot is free.
    var connection: Connection?
    /// The ring in which the connection was announced last.
    var epoch: UInt32 = 0
    /// Bytes of it went to a ring, or were let go of.
    var isUnderWay = false
    var isRefused = false
    /// The record in hand is dropped; and it was told that some are.
    var isDropping = false
    var isNamed = false
  }

  /// What of the lease in hand is in the ring.
  struct Hand: BitwiseCopyable {
    var pieces: UInt32 = 0
    var content = SharedClaims.Content()
  }

  /// Listens and makes the first ring.
  ///
  /// - Parameters:
  ///   - area: a descriptor of the area's memory, open for reading only; stays the caller's.
  ///   - areaBytes: how much of it is the area.
  ///   - holdLimit: leases that may be out at a time.
  ///   - thread: the number of the receiving thread.
  public init(
    _ options: SharedSinkOptions, area: Int32, areaBytes: Int, maxConnections: Int,
    holdLimit: Int, thread: Int = 0, control: RunControl
  ) throws(SinkError) {
    let claims = SharedClaims(capacity: holdLimit)
    let area = Area(descriptor: area, byteCount: areaBytes, thread: thread)
    let memory = try SharedSink.ringMemory(options, claims: claims.capacity)
    let link = try ConsumerLink(path: options.path(thread: thread))
    ring = SharedSink.ring(options, memory, claims: claims.capacity, area)
    self.options = options
    self.control = control
    self.area = area
    self.claims = claims
    self.memory = memory
    self.link = link
    slots = SlotPool(capacity: maxConnections, repeating: Slot())
    isTaking = options.wait
  }

  deinit {
    var ring = ring
    // The link goes after this, and with it the conversation.
    if ring.end() { link.wake() }
  }

  static func ringMemory(
    _ options: SharedSinkOptions, claims: Int
  ) throws(SinkError) -> SharedRingMemory {
    try SharedRingMemory(
      byteCount: SharedRing.byteCount(records: options.ring, returns: returnCount(claims)))
  }

  static func ring(
    _ options: SharedSinkOptions, _ memory: borrowing SharedRingMemory, claims: Int, _ area: Area
  ) -> SharedRing {
    unsafe SharedRing(
      unsafeMemory: memory.base, records: options.ring, returns: returnCount(claims),
      areaBytes: area.byteCount, thread: area.thread)
  }

  /// Room for every claim that can be out: a consumer never waits to give one back.
  private static func returnCount(_ claims: Int) -> Int {
    var count = 1
    while count < claims { count *= 2 }
    return count
  }

  public var failures: [SinkFailure] {
    var all = list.stored
    if untaken.bytes > 0, hasGivenUp {
      all.append(lost(untaken, "no consumer came", remedy: "start one, then try again"))
    }
    return all
  }
  public var pending: Int { claims.count }
  public var readsPayload: Bool { false }
}

// MARK: - Sink

extension SharedSink {
  public mutating func take(
    _ piece: Piece, of lease: borrowing Lease, at start: UInt32, in batch: inout Batch
  ) {
    let slot = lease.connection
    if options.dropsRecords, drops(piece, of: slot, in: &batch) { return }
    guard hasPlace(for: slot, in: &batch) else {
      return lose(content(of: piece))
    }
    var record = ingest_shm_record()
    record.kind = UInt16(INGEST_SHM_PIECE)
    record.flags =
      (piece.first ? UInt16(INGEST_SHM_FIRST) : 0) | (piece.last ? UInt16(INGEST_SHM_LAST) : 0)
    record.serial = slots[slot].connection?.serial ?? 0
    record.slot = slot
    // The bits above are the kernel's name for the area, of which a consumer has one.
    record.offset = (lease.offset &+ UInt64(start)) & AreaLayout.offsetMask
    record.lead = piece.lead
    record.payload = piece.payload
    record.trail = piece.trail
    ring.push(record)
    hand.pieces &+= 1
    hand.content += content(of: piece)
  }

  public mutating func finish(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    let slot = lease.connection
    slots[slot].isUnderWay = true
    // A wait for a place may end the consumer, and with it what is in hand.
    guard hand.pieces > 0, hasPlace(for: slot, in: &batch), hand.pieces > 0 else {
      // What was in hand has been counted with what the consumer had.
      hand = Hand()
      if fault != 0 { batch.refuse(refusal(of: slot)) }
      return lease.done()
    }
    let content = hand.content
    hand = Hand()
    var record = ingest_shm_record()
    record.kind = UInt16(INGEST_SHM_CLAIM)
    record.serial = slots[slot].connection?.serial ?? 0
    record.slot = slot
    if claims.mayHold(in: batch) {
      let verdict = claims.keep(lease, content, number: &record.claim)
      ring.push(record)
      return verdict
    }
    // As many are out as may be: the consumer has this one for as long as it is in hand.
    record.claim = claims.lend(content)
    ring.push(record)
    while claims.lentCount > 0, waitStep(in: &batch) {}
    return lease.done()
  }

  /// The last record ends where its stream does: a piece without bytes says so.
  public mutating func endRecord(of connection: Connection, in batch: inout Batch) {
    guard hasPlace(for: connection.slot, in: &batch) else { return }
    var record = ingest_shm_record()
    record.kind = UInt16(INGEST_SHM_PIECE)
    record.flags = UInt16(INGEST_SHM_LAST)
    record.serial = connection.serial
    record.slot = connection.slot
    ring.push(record)
  }

  public mutating func opened(_ connection: Connection, in batch: inout Batch) {
    slots[connection.slot] = Slot(connection: connection)
    _ = hasPlace(for: connection.slot, in: &batch)
    guard fault != 0 else { return }
    slots[connection.slot].isRefused = true
    batch.refuse(refusal(of: connection.slot))
  }

  public mutating func closed(
    _ connection: Connection, _ end: StreamEnd, in batch: inout Batch
  ) {
    // A ring that never heard of the connection need not hear of its end.
    if slots[connection.slot].epoch == epoch, hasPlace(for: connection.slot, in: &batch) {
      var record = ingest_shm_record()
      record.kind = UInt16(INGEST_SHM_CLOSED)
      record.serial = connection.serial
      record.slot = connection.slot
      record.detail = UInt32(end.shared)
      ring.push(record)
    }
    slots[connection.slot] = Slot()
  }

  public mutating func endBatch(in batch: inout Batch) {
    publish()
    if state == .attached, claims.count > 0 {
      // What comes back from now on wakes the ring.
      ring.announceWait()
      _ = takeReturns(in: &batch)
    }
    if state == .absent, !hasGivenUp, control.asked() != .go { giveUp(in: &batch) }
    if refusalsWanted { refuseOpen(in: &batch) }
    armPolls(in: batch)
  }

  public mutating func completed(_ index: UInt32, result: Int32, in batch: inout Batch) {
    if index == SharedSink.listenerIndex {
      listenerPolled = false
      return attach()
    }
    // A poll of an earlier consumer's socket is answered by its end.
    guard index == connectionIndex else { return }
    connectionPolled = false
    guard state == .attached else { return }
    hear(in: &batch)
  }

  /// Counts what nobody takes.
  mutating func lose(_ content: SharedClaims.Content) {
    untaken += content
    counters.lostRecords += content.records
    counters.lostBytes += content.bytes
  }

  /// After an abort nobody gives back what is out.
  public mutating func stop() {
    counters.lostRecords += claims.content.records
    counters.lostBytes += claims.content.bytes
  }

  private func content(of piece: Piece) -> SharedClaims.Content {
    SharedClaims.Content(records: piece.last ? 1 : 0, bytes: UInt64(piece.count))
  }
}

extension StreamEnd {
  /// How a consumer is told.
  fileprivate var shared: Int {
    switch self {
    case .finished: Int(INGEST_SHM_FINISHED)
    case .failed, .misplaced, .unsplit, .starved: Int(INGEST_SHM_FAILED)
    case .refused, .limited: Int(INGEST_SHM_REFUSED)
    case .stopped: Int(INGEST_SHM_STOPPED)
    }
  }
}
