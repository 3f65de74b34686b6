public import RingCore

/// Plugins before a sink: gathers the pieces of a batch, has the plugins look at all of them with
/// one call each, and passes on in order what they let through.
///
/// What stands before it does not know the sink behind it, nor the sink what stands before: the
/// loops of both add up instead of multiplying.
///
/// - Cost: per piece one more pass over 64 B for each plugin, and what the plugin does; per batch
///   one call of each. Memory: 64 B for each of ``capacity`` pieces, the same for each plugin, and
///   per connection 56 B and 8 B for each plugin.
@safe
public struct PluginStage: Sink, ~Copyable {
  let plugins: UnsafeMutablePointer<PluginLink>
  let count: Int
  let next: PluginNext
  @usableFromInline let pieces: UnsafeMutablePointer<PluginPiece>
  @usableFromInline var gathered = 0
  @usableFromInline let slots: UnsafeMutablePointer<PluginSlot>
  let maxConnections: Int
  /// Connections to refuse at the end of the batch, each once.
  let refusals: UnsafeMutablePointer<UInt32>
  var refusalCount = 0
  /// Bytes that plugins let go of, and bytes of refused connections that went no further.
  var droppedBytes: UInt64 = 0
  @usableFromInline var refusedBytes: UInt64 = 0
  private var sentences: [String] = []
  public let readsPayload: Bool

  /// Pieces and ends of leases that are gathered before the plugins are asked.
  public static var capacity: Int { 512 }

  /// Makes an instance of each plugin, in order. Called on the thread that runs it.
  ///
  /// - Errors: what a plugin says against its options.
  public init(
    _ choices: [PluginChoice], place: PluginPlace, area: AreaMemory, next: consuming PluginNext
  ) throws(SinkError) {
    invariant(choices.count <= PluginSpecification.most, "a chain has room for its plugins")
    let made = UnsafeMutablePointer<PluginLink>.allocate(capacity: max(choices.count, 1))
    var count = 0
    var reads = next.readsPayload()
    do throws(SinkError) {
      for choice in choices {
        unsafe (made + count).initialize(to: try PluginLink(choice, place: place, area: area))
        if unsafe made[count].readsPayload { reads = true }
        count += 1
      }
    } catch {
      for index in 0..<count { _ = unsafe made[index].destroy() }
      unsafe made.deallocate()
      throw error
    }
    unsafe self.plugins = made
    self.count = count
    readsPayload = reads
    self.next = next
    maxConnections = place.maxConnections
    unsafe pieces = .allocate(capacity: PluginStage.capacity)
    unsafe slots = .allocate(capacity: maxConnections)
    unsafe slots.initialize(repeating: PluginSlot(serial: 0), count: maxConnections)
    unsafe refusals = .allocate(capacity: maxConnections)
  }

  deinit {
    unsafe plugins.deallocate()
    unsafe pieces.deallocate()
    unsafe slots.deallocate()
    unsafe refusals.deallocate()
  }

  @inlinable @inline(__always)
  public mutating func take(
    _ piece: Piece, of lease: borrowing Lease, at start: UInt32, in batch: inout Batch
  ) {
    // `opened` checked the slot.
    let slot = unsafe slots + Int(lease.connection)
    if unsafe slot.pointee.isRefused {
      refusedBytes &+= UInt64(piece.count)
      return
    }
    if gathered == Self.capacity { run(in: &batch) }
    unsafe (pieces + gathered).initialize(to: slot.pointee.add(piece, of: lease, at: start))
    gathered &+= 1
  }

  @inlinable @inline(__always)
  public mutating func finish(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    if gathered == Self.capacity { run(in: &batch) }
    unsafe (pieces + gathered).initialize(to: PluginPiece(finishing: lease))
    gathered &+= 1
    return lease.surrender()
  }

  public mutating func opened(_ connection: Connection, in batch: inout Batch) {
    let slot = Int(connection.slot)
    invariant(slot < maxConnections, "a connection's slot is below maxConnections")
    unsafe slots[slot] = PluginSlot(serial: connection.serial)
    for index in 0..<count {
      unsafe slots[slot].openCount += 1
      let code = unsafe plugins[index].open(connection)
      guard code == 0 else {
        unsafe slots[slot].isRefused = true
        var fault = unsafe Fault(
          .stage, record: 0, offset: 0, expected: plugins[index].number, found: code)
        fault.connection = connection.serial
        batch.refuse(fault)
        if unsafe plugins[index].end != nil { recover(index, 0, &batch) }
        return
      }
    }
    unsafe slots[slot].isOpenBehind = true
    next.opened(connection, &batch)
  }

  public mutating func endRecord(of connection: Connection, in batch: inout Batch) {
    run(in: &batch)
    let slot = unsafe slots + Int(connection.slot)
    unsafe slot.pointee.recordEnded = true
    guard unsafe !slot.pointee.isRefused && slot.pointee.drops == 0 else { return }
    next.endRecord(connection, &batch)
  }

  public mutating func closed(
    _ connection: Connection, _ end: StreamEnd, in batch: inout Batch
  ) {
    run(in: &batch)
    let slot = unsafe slots + Int(connection.slot)
    for index in unsafe 0..<slot.pointee.openCount {
      // Those before it may have let go of the last record.
      let before = UInt8(truncatingIfNeeded: 1 << index - 1)
      let recordEnded = unsafe slot.pointee.recordEnded && slot.pointee.drops & before == 0
      unsafe plugins[index].close(connection, end, recordEnded: recordEnded)
    }
    if unsafe slot.pointee.isOpenBehind { next.closed(connection, end, &batch) }
    if unsafe slot.pointee.isRefused { refusalCount = forgetRefusal(of: connection.slot) }
    unsafe slot.pointee = PluginSlot(serial: 0)
    recoverAll(in: &batch)
  }

  public mutating func endBatch(in batch: inout Batch) {
    run(in: &batch)
    for index in 0..<count { unsafe plugins[index].flush() }
    recoverAll(in: &batch)
    next.endBatch(&batch)
    // Those that a batch has no room for are told with the next one.
    while refusalCount > 0, unsafe batch.refuse(slot: refusals[refusalCount - 1]) {
      refusalCount -= 1
    }
  }

  public mutating func completed(_ index: UInt32, result: Int32, in batch: inout Batch) {
    completed(index, result: result, flags: 0, in: &batch)
  }

  public mutating func completed(
    _ index: UInt32, result: Int32, flags: UInt32, in batch: inout Batch
  ) {
    next.completed(index, result, flags, &batch)
  }

  public mutating func stop() {
    for index in 0..<count {
      if let sentence = unsafe plugins[index].destroy() { sentences.append(sentence) }
    }
    next.stop()
  }

  public var pending: Int { next.pending() }
  public var counters: SinkCounters {
    var counters = next.counters()
    counters.stageDroppedBytes += droppedBytes
    counters.refusedBytes += refusedBytes
    return counters
  }
  public var failures: [SinkFailure] { next.failures() }
  public func stageFailures() -> [String] { sentences + next.stageFailures() }
}

/// A piece that waits for the plugins' answers, or the end of a lease.
@frozen @usableFromInline
struct PluginPiece: BitwiseCopyable {
  @usableFromInline let lease: LeaseWords
  @usableFromInline let piece: Piece
  @usableFromInline let start: UInt32
  /// Where its record starts, and which one it is.
  @usableFromInline let recordStart: UInt64
  @usableFromInline let record: UInt64
  /// All pieces of the lease came.
  @usableFromInline let isFinish: Bool
  /// Starts a record, or is of a stream without records: the answers to it decide.
  @usableFromInline let decides: Bool
  /// Some plugin did not let it through.
  @usableFromInline var isStopped = false

  @inlinable @inline(__always)
  init(_ piece: Piece, of lease: borrowing Lease, at start: UInt32, _ slot: PluginSlot) {
    self.lease = LeaseWords(lease)
    self.piece = piece
    self.start = start
    recordStart = slot.recordStart
    record = slot.records
    isFinish = false
    decides = piece.first || !slot.isInside
  }

  @inlinable @inline(__always)
  init(finishing lease: borrowing Lease) {
    self.lease = LeaseWords(lease)
    piece = Piece(payload: 0, first: false, last: false)
    start = 0
    recordStart = 0
    record = 0
    isFinish = true
    decides = false
  }

  /// What a plugin found in it.
  func fault(_ number: UInt64, _ code: UInt64, serial: UInt64) -> Fault {
    var fault = Fault(.stage, record: record, offset: recordStart, expected: number, found: code)
    fault.connection = serial
    return fault
  }
}

/// What ``PluginStage`` remembers of a connection.
@frozen @usableFromInline
struct PluginSlot: BitwiseCopyable {
  @usableFromInline var serial: UInt64
  @usableFromInline var bytes: UInt64 = 0
  @usableFromInline var records: UInt64 = 0
  @usableFromInline var recordStart: UInt64 = 0
  /// Plugins that the connection was shown to.
  @usableFromInline var openCount = 0
  /// A bit for each plugin that let go of the record at hand; those after the first to do so are
  /// of an earlier record.
  @usableFromInline var drops: UInt8 = 0
  @usableFromInline var isInside = false
  @usableFromInline var refusedBy: UInt8 = 0
  @usableFromInline var isRefused = false
  /// The sink refused it.
  @usableFromInline var isRefusedBehind = false
  @usableFromInline var isOpenBehind = false
  @usableFromInline var recordEnded = false

  @usableFromInline
  init(serial: UInt64) { self.serial = serial }

  @inlinable @inline(__always)
  mutating func add(_ piece: Piece, of lease: borrowing Lease, at start: UInt32) -> PluginPiece {
    let gathered = PluginPiece(piece, of: lease, at: start, self)
    bytes &+= UInt64(piece.count)
    isInside = (isInside || piece.first) && !piece.last
    if piece.last {
      records &+= 1
      recordStart = bytes
    }
    return gathered
  }
}
