import CIngestKernel
import Glibc
public import RingCore

/// The end of a chain's part on one thread: everything goes on to the next thread, and leases come
/// back from there.
///
/// Items are shown to the other side at the end of a batch, or 64 at a time. When their queue is
/// full, or as many leases are out as may be, the thread waits: buffers then stay away from the
/// kernel, and TCP's window holds the senders back.
///
/// - Cost: an ``Item`` for each piece and for each lease, a fence and a load for a batch. No system
///   call while the other side is awake.
@frozen @safe
public struct HandOver: Sink, ~Copyable {
  let crossing: Crossing
  @usableFromInline var items: SPSCProducer<Item>
  var returns: SPSCConsumer<Return>
  @usableFromInline let there: Bell
  let back: Bell
  /// Leases that are out.
  @usableFromInline var out = 0
  @usableFromInline let limit: Int
  private let quarter: Int
  /// A lease has begun and not ended. What another thread may wait for, the end of a lease, must
  /// not wait for that thread's leases: so room for one is seen to before its first item.
  @usableFromInline var isInsideLease = false
  /// Items since the last ones were shown.
  @usableFromInline var unseen = 0
  /// What each slot's connection is, to tell it from a later one.
  private let serials: UnsafeMutablePointer<UInt64>
  /// Times that this thread waited for the other side.
  public private(set) var waits: UInt64 = 0
  /// Ends the other thread, and waits for it; its failures as sentences.
  private let finish: @Sendable () -> [String]
  private var sentences: [String] = []
  private let sleeps: Bool
  public let readsPayload: Bool

  @inlinable @inline(__always) static var visible: Int { 64 }

  /// - Parameters:
  ///   - sleeps: whether the thread sleeps without asking ``hasWork()`` first, as an engine does.
  ///   - readsPayload: whether the part of the chain behind it does.
  ///   - finish: waits for the other thread, which was told to stop.
  public init(
    _ crossing: Crossing, sleeps: Bool, readsPayload: Bool,
    finish: @escaping @Sendable () -> [String]
  ) {
    self.sleeps = sleeps
    self.readsPayload = readsPayload
    self.crossing = crossing
    items = crossing.items.takeProducer()
    returns = crossing.returns.takeConsumer()
    there = crossing.there.bell
    back = crossing.back.bell
    limit = crossing.limit
    quarter = crossing.quarter
    unsafe serials = UnsafeMutablePointer<UInt64>.allocate(capacity: crossing.maxConnections)
    unsafe serials.initialize(repeating: 0, count: crossing.maxConnections)
    self.finish = finish
  }

  deinit { unsafe serials.deallocate() }

  @inlinable @inline(__always) public static var isRemote: Bool { true }

  @inlinable @inline(__always)
  mutating func send(_ item: Item, _ batch: inout Batch) {
    if !items.append(item) { waitForRoom(item, &batch) }
    unseen &+= 1
    if unseen == HandOver.visible { show() }
  }

  /// Before an item of a lease.
  @inlinable @inline(__always)
  mutating func beginLease(_ batch: inout Batch) {
    if isInsideLease { return }
    isInsideLease = true
    if out >= limit { waitForReturns(&batch) }
  }

  @inline(never) @usableFromInline
  mutating func show() {
    unseen = 0
    if items.flush() != 0 { there.ring() }
  }

  @inlinable @inline(__always)
  public mutating func take(
    _ piece: Piece, of lease: borrowing Lease, at start: UInt32, in batch: inout Batch
  ) {
    beginLease(&batch)
    send(.piece(piece, of: LeaseWords(lease), at: start, expected: .nothing), &batch)
  }

  @inlinable @inline(__always)
  mutating func take(
    _ piece: Piece, of lease: borrowing Lease, at start: UInt32, expected: Expectation,
    in batch: inout Batch
  ) {
    beginLease(&batch)
    send(.piece(piece, of: LeaseWords(lease), at: start, expected: expected), &batch)
  }

  @inlinable @inline(__always)
  public mutating func finish(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    beginLease(&batch)
    isInsideLease = false
    send(.finish(LeaseWords(lease)), &batch)
    out &+= 1
    return lease.surrender()
  }

  public mutating func endRecord(of connection: Connection, in batch: inout Batch) {
    send(.endRecord(connection), &batch)
  }

  public mutating func opened(_ connection: Connection, in batch: inout Batch) {
    invariant(
      Int(connection.slot) < crossing.maxConnections,
      "a connection's slot is below maxConnections")
    unsafe serials[Int(connection.slot)] = connection.serial
    send(.opened(connection), &batch)
  }

  public mutating func closed(
    _ connection: Connection, _ end: StreamEnd, in batch: inout Batch
  ) {
    // `opened` checked the slot.
    unsafe serials[Int(connection.slot)] = 0
    send(
      .closed(connection, end, bytes: batch.streamBytes, digest: batch.streamDigest), &batch)
  }

  public mutating func endBatch(in batch: inout Batch) {
    show()
    _ = takeBack(&batch)
    guard sleeps else { return }
    // The engine may sleep now. While few leases are out it needs none of them to go on: they are
    // taken back with the next batch, whenever that comes. Otherwise whoever gives leases back
    // wakes it, and what came back until it said so is taken once more.
    while out >= quarter || batch.isStopping && out > 0 {
      back.prepare()
      guard takeBack(&batch) else { return }
      back.stay()
    }
  }

  public mutating func hasWork() -> Bool { returns.available() > 0 }

  public mutating func completed(_ index: UInt32, result: Int32, in batch: inout Batch) {}

  public mutating func stop() {
    while !items.append(.stop) && !crossing.isOver { pause() }
    show()
    there.ring()
    sentences = finish()
  }

  public var pending: Int { out }
  public var counters: SinkCounters {
    var counters = SinkCounters()
    counters.waits = waits
    return counters
  }
  public func stageFailures() -> [String] { sentences }

  // MARK: Waiting

  /// Takes what came back; whether there was something.
  private mutating func takeBack(_ batch: inout Batch) -> Bool {
    guard returns.available() > 0 else { return false }
    var leases = 0
    _ = returns.drain { word in
      switch word {
      case .lease(let offset):
        batch.release(offset)
        leases += 1
      case .refuse(let slot, let serial):
        // Another connection may have the slot by now.
        if unsafe serials[Int(slot)] == serial {
          let isListed = batch.refuse(slot: slot)
          invariant(isListed, "a batch lists as many refusals as there are connections")
        }
      }
    }
    out -= leases
    return true
  }

  @inline(never) @usableFromInline
  mutating func waitForRoom(_ item: Item, _ batch: inout Batch) {
    show()
    waits &+= 1
    while !items.append(item) {
      // What is lost here is lost with the run.
      if crossing.isOver { return }
      pause()
    }
  }

  @inline(never) @usableFromInline
  mutating func waitForReturns(_ batch: inout Batch) {
    show()
    waits &+= 1
    while out >= limit {
      if takeBack(&batch) { continue }
      if crossing.isOver { return }
      pause()
    }
  }

  /// The other side has a full queue of work: it is awake.
  private func pause() { usleep(50) }
}

/// ``HandOver`` right after parse: what the sender said about records goes along.
@frozen
public struct HandOverAll: Downstream, ~Copyable {
  @usableFromInline var next: HandOver

  @inlinable
  public init(_ next: consuming HandOver) { self.next = next }

  @inlinable @inline(__always) public static var mayRefuse: Bool { false }
  @inlinable @inline(__always) public static var isRemote: Bool { true }

  @inlinable @inline(__always)
  public mutating func take(
    _ piece: Piece, of lease: borrowing Lease, at start: UInt32, expected: Expectation,
    measured: Bool, in batch: inout Batch
  ) -> Flaw? {
    next.take(piece, of: lease, at: start, expected: expected, in: &batch)
    return nil
  }

  @inlinable @inline(__always)
  public mutating func finish(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    next.finish(lease, in: &batch)
  }
  public mutating func endRecord(of connection: Connection, in batch: inout Batch) {
    next.endRecord(of: connection, in: &batch)
  }
  public mutating func opened(_ connection: Connection, in batch: inout Batch) {
    next.opened(connection, in: &batch)
  }
  public mutating func closed(
    _ connection: Connection, _ end: StreamEnd, in batch: inout Batch
  ) -> Flaw? {
    next.closed(connection, end, in: &batch)
    return nil
  }
  public mutating func endBatch(in batch: inout Batch) { next.endBatch(in: &batch) }
  public mutating func completed(
    _ index: UInt32, result: Int32, flags: UInt32, in batch: inout Batch
  ) {}
  public mutating func stop() { next.stop() }
  public mutating func hasWork() -> Bool { next.hasWork() }
  public var pending: Int { next.pending }
  public var readsPayload: Bool { next.readsPayload }
  public var counters: SinkCounters { next.counters }
  public var failures: [SinkFailure] { [] }
  public func stageFailures() -> [String] { next.stageFailures() }
  public func digest(slot: Int) -> UInt64? { nil }
}
