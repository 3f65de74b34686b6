import CIngestKernel
import Glibc
public import RingCore

/// Writes files through io_uring, straight out of the area: a lease is held until its bytes are
/// written, and nothing is copied but records that span leases where one file takes them all.
///
/// Writes go to explicit offsets, so that any number may be under way and end in any order; runs
/// of bytes that are neighbours in memory and in the file become one. When no request or no place
/// for a held lease is free, the receiving thread writes by itself and waits (pwrite(2)): memory
/// stays bounded, and TCP slows the senders down.
///
/// A failed write ends its file: what is under way finishes, the file is cut at the first missing
/// byte and fsynced, and a ``SinkFailure`` says how far it can be trusted. With `each` that refuses
/// one connection, with `one` all of them. The fault is a ``Fault/Kind/sink`` whose `offset` is
/// the safe byte count, `expected` the bytes that were to be written and `found` the errno.
///
/// With ``FileSinkOptions/rotate`` a connection's bytes go to one file after the other, and with
/// ``FileSinkOptions/direct`` past the page cache, copied into blocks first.
///
/// A stage's requests must be finished before it goes: run the ring until ``pending`` is 0.
/// Writes are IORING_OP_WRITE and IORING_OP_WRITEV, synced by IORING_OP_FSYNC.
@safe
public struct FileSink: Sink, ~Copyable {
  let options: FileSinkOptions
  let template: FileTemplate
  let limits: FileSinkLimits
  let recordBound: Int
  /// Whether files may end before their stream, and then at records or at leases.
  let rotates: Bool
  let hasRecords: Bool

  var slots: SlotPool<Slot>
  var files: SlotPool<OpenFile>
  var operations: SlotPool<Operation>
  /// `limits.vectors` runs and claims for each operation.
  let vectors: UnsafeMutablePointer<iovec>
  let claims: UnsafeMutablePointer<Claim>
  var held: HeldLeases
  var carry: CarryPool
  /// What is gathered for direct writes, by ``blockKey(of:)``.
  var blocks: CarryPool
  /// Connections that are open.
  var openCount = 0

  /// Operations that wait for a submission entry, oldest first.
  var readyHead = noIndex
  var readyTail = noIndex

  /// The bytes of the lease in hand that are not queued yet, as a range of the area.
  var runStart: UInt64 = 0
  var runLength: UInt32 = 0
  /// The place of the lease in hand among the held, once a write needs it.
  var hold = noIndex

  /// A file failed whose connections are still open: they are refused when the batch ends, when
  /// no slot changes hands any more.
  var refusalsWanted = false
  /// For `sync-every`: bytes came since the timer was armed last, and whether it is.
  var hasUnsynced = false
  var timerIsArmed = false
  /// What the timer's request points to until it is submitted.
  let timerSpan: UnsafeMutablePointer<__kernel_timespec>
  let thread: UInt32
  var list = FailureList()
  public var counters = SinkCounters()

  /// What is known of a connection.
  struct Slot: BitwiseCopyable {
    var file = noIndex
    /// The connection's serial number; 0 while the slot is free.
    var serial: UInt64 = 0
    var refused = false
  }

  /// Checks the options, sizes the pools and, with `layout=one`, opens the file.
  ///
  /// - Parameters:
  ///   - maxConnections: slots are below this.
  ///   - recordBound: the most bytes of a record, framing included; 0 when no record spans
  ///     leases, nil when there is no bound.
  ///   - thread: the number of the receiving thread, nil when there is only one.
  ///   - limits: nil takes ``FileSinkLimits/standard(maxConnections:)``.
  ///
  /// SIGXFSZ is ignored from then on unless the process handles it: a file at its size limit is an
  /// error of one connection.
  ///
  /// Cost: the pools, see ``FileSinkLimits``, plus up to 1 KiB for each connection; records that
  /// span leases are mapped, not touched, up to `carry`.
  public init(
    _ options: FileSinkOptions, maxConnections: Int, recordBound: Int?, thread: Int? = nil,
    limits: FileSinkLimits? = nil
  ) throws(SinkError) {
    let limits = limits ?? .standard(maxConnections: maxConnections)
    let template = try FileTemplate(options, thread: thread)
    var carry = CarryPool()
    var bound = 0
    if options.layout == .one, maxConnections > 1 || recordBound != nil {
      bound = try FileSink.boundForOne(recordBound, maxConnections: maxConnections)
      if bound > 0 {
        carry = try CarryPool(maxConnections: maxConnections, bound: bound, budget: options.carry)
      }
    }
    let blocks = try FileSink.blockPool(options, maxConnections: maxConnections)
    // A file that is not a connection's any more has a request of its own left, but for the one
    // that is being ended.
    let files = SlotPool(
      capacity: (options.layout == .one ? 1 : maxConnections) + limits.operations + 1,
      repeating: OpenFile())
    var descriptor: Int32 = -1
    if options.layout == .one {
      let path = template.path(for: Connection(slot: 0, serial: 0, peer: Endpoint()))
      switch openTarget(path, options) {
      case .success(let opened): descriptor = opened
      case .failure(let failure): throw SinkError(failure)
      }
    }
    ignoreFileSizeSignal()

    self.options = options
    self.template = template
    self.limits = limits
    self.recordBound = bound
    rotates = options.rotates
    hasRecords = recordBound != nil
    slots = SlotPool(capacity: maxConnections, repeating: Slot())
    self.files = consume files
    operations = SlotPool(capacity: limits.operations, repeating: Operation())
    unsafe timerSpan = .allocate(capacity: 1)
    unsafe timerSpan.initialize(to: FileSink.timespec(options.syncEvery))
    self.thread = UInt32(thread ?? 0)
    unsafe vectors = .allocate(capacity: limits.operations * limits.vectors)
    unsafe claims = .allocate(capacity: limits.operations * limits.vectors)
    held = HeldLeases(capacity: limits.leases)
    self.carry = consume carry
    self.blocks = consume blocks
    if descriptor >= 0 {
      sharedFile = addFile(descriptor, Connection(slot: 0, serial: 0, peer: Endpoint()))
    }
  }

  deinit {
    for index in 0..<UInt32(files.capacity) where files[index].descriptor >= 0 {
      let file = files[index]
      close(file.descriptor)
      // The file for all has no other end than this one.
      if options.layout == .one, file.failure == 0, file.writes == 0, file.synced >= file.end {
        _ = nameFile(file)
      }
    }
    unsafe timerSpan.deallocate()
    unsafe vectors.deallocate()
    unsafe claims.deallocate()
  }

  private static func boundForOne(
    _ recordBound: Int?, maxConnections: Int
  ) throws(SinkError) -> Int {
    if let recordBound { return max(recordBound, 0) }
    throw SinkError(
      .usage, "layout=one keeps records together, and this parser's have no bound",
      remedy: "use layout=each, a parser with a bound, or --max-connections 1")
  }

  /// The file of `layout=one`.
  var sharedFile = noIndex

  /// Requests of this sink that may be in the kernel at a time: room for as many completions.
  public var operationLimit: Int { limits.operations + (options.syncEvery > 0 ? 1 : 0) }
  public var failures: [SinkFailure] { list.stored }
  public var pending: Int { operations.busyCount }
  public var readsPayload: Bool { recordBound > 0 || options.direct }
}

// MARK: - Sink

extension FileSink {
  public mutating func take(
    _ piece: Piece, of lease: borrowing Lease, at start: UInt32, in batch: inout Batch
  ) {
    let all = options.bytes == .all
    let count = all ? piece.count : piece.payload
    let from = lease.offset &+ UInt64(all ? start : start &+ piece.lead)
    // With `one` a record is written when it is whole.
    if rotates, recordBound > 0 ? piece.last : piece.first || !hasRecords {
      rotateIfDue(slot: lease.connection, in: &batch)
    }
    guard recordBound > 0 else { return extendRun(from, count, slot: lease.connection, in: &batch) }
    if piece.last {
      endCarried(slot: lease.connection, in: &batch)
      extendRun(from, count, slot: lease.connection, in: &batch)
    } else if count > 0 {
      // The start of a record that goes on in a later lease; `one` writes it when it ends.
      let fits = unsafe carry.append(
        slot: lease.connection, from: batch.area.address(of: from), count: Int(count))
      counters.copiedBytes += UInt64(count)
      guard !fits else { return }
      lose(Int(count))
      batch.refuse(tooLong(recordBound, serial: slots[lease.connection].serial))
    }
  }

  public mutating func finish(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    writeRun(slot: lease.connection, in: &batch)
    guard hold != noIndex else { return lease.done() }
    let place = hold
    hold = noIndex
    return held.keep(lease, at: place)
  }

  public mutating func endRecord(of connection: Connection, in batch: inout Batch) {
    guard recordBound > 0 else { return }
    if rotates { rotateIfDue(slot: connection.slot, in: &batch) }
    endCarried(slot: connection.slot, in: &batch)
  }

  public mutating func opened(_ connection: Connection, in batch: inout Batch) {
    openCount += 1
    slots[connection.slot] = Slot(file: sharedFile, serial: connection.serial)
    if options.layout == .each { return openFile(for: connection, in: &batch) }
    guard files[sharedFile].settled else { return }
    slots[connection.slot].refused = true
    batch.refuse(fault(of: sharedFile, serial: connection.serial))
  }

  public mutating func closed(
    _ connection: Connection, _ end: StreamEnd, in batch: inout Batch
  ) {
    openCount -= 1
    lose(carry.drop(slot: connection.slot))
    let slot = slots[connection.slot]
    slots[connection.slot] = Slot()
    guard slot.file != noIndex else { return }
    if files[slot.file].settled, !slot.refused {
      batch.report(fault(of: slot.file, serial: slot.serial))
    }
    if options.layout == .each { return endFile(slot.file, in: &batch) }
    if options.direct, options.sync != .none || openCount == 0 {
      writeBlocks(of: slot.file, in: &batch)
    }
    if options.sync != .none { files[slot.file].syncGoal = files[slot.file].end }
    advanceFile(slot.file, in: &batch)
  }

  public mutating func endBatch(in batch: inout Batch) {
    invariant(hold == noIndex, "no batch ends within a lease")
    submitReady(in: &batch)
    if hasUnsynced && !timerIsArmed { armTimer(in: &batch) }
    if refusalsWanted { refuseSettled(in: &batch) }
  }

  public mutating func completed(_ index: UInt32, result: Int32, in batch: inout Batch) {
    if index == timerIndex { return timerFired(in: &batch) }
    invariant(operations[index].inKernel, "a completion answers a request of this sink")
    operations[index].inKernel = false
    switch operations[index].kind {
    case .write: wrote(index, result: result, in: &batch)
    case .sync:
      if result == -EINTR || result == -EAGAIN { return enqueue(index) }
      let file = operations[index].file
      operations.give(index)
      synced(file, result: result, in: &batch)
      advanceFile(file, in: &batch)
    }
  }

  /// After an abort nobody learns what became of the writes under way.
  public mutating func stop() {
    for index in 0..<UInt32(operations.capacity) where operations[index].file != noIndex {
      lose(max(0, operations[index].length - operations[index].again))
    }
  }

  /// Bytes that do not come to their file.
  mutating func lose(_ count: Int) { counters.lostBytes += UInt64(count) }
}

/// A write beyond RLIMIT_FSIZE sends SIGXFSZ, which ends the process where nobody handles it;
/// ignored, the write answers EFBIG.
private func ignoreFileSizeSignal() {
  var action = sigaction()
  guard unsafe sigaction(SIGXFSZ, nil, &action) == 0,
    unsafe action.__sigaction_handler.sa_handler == nil
  else { return }
  _ = signal(SIGXFSZ, SIG_IGN)
}
