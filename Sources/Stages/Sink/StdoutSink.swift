import CIngestKernel
import Glibc
public import RingCore

/// Writes to a descriptor, in the order of arrival, straight out of the area with writev(2).
///
/// The receiving thread waits for each write: a slow reader fills the sockets, and TCP slows the
/// senders down; or what has no room waits aside or is dropped (``OverflowOptions``). With a
/// `recordBound`, records of different connections do not mix: those within
/// one lease are written from the area, those that span leases are copied and written when they
/// end. Without one (the stream has no records) leases are written as they come.
///
/// SIGPIPE must be ignored by the process; the reader's end is then a ``SinkFailure`` with EPIPE,
/// and every connection is refused.
@safe
public struct StdoutSink: Sink, ~Copyable {
  /// How many runs of bytes one writev(2) takes; a lease of many short payloads needs several.
  static var vectorLimit: Int { 64 }

  let descriptor: Int32
  private let name: String
  private let ownsDescriptor: Bool
  private let isFile: Bool
  private let bytes: SinkBytes
  let vectors: UnsafeMutablePointer<iovec>
  var vectorCount = 0
  /// Which of them begin a record, a bit for each.
  var starts: UInt64 = 0
  let overflow: OverflowOptions
  /// What waits for the reader; nil where the receiving thread does.
  var queue: OverflowQueue?
  /// Bytes in it.
  var waitingBytes = 0
  /// The record in hand is dropped, its later vectors with it.
  var isDropping = false
  var isPolling = false
  /// Slots whose connections were told to lose records.
  var named: SlotPool<Bool>
  /// 0: leases are written as they come.
  private let recordBound: Int
  private var carry: CarryPool
  /// Carry buffers named by `vectors`, free after the next write: a lease ends at most one record
  /// that began in an earlier lease, a framer's short piece may add to it.
  private var carried = noIndex
  /// The serial number of the connection in each slot.
  let serials: SlotPool<UInt64>
  var error: Int32 = 0
  private var list = FailureList()
  public internal(set) var counters = SinkCounters()

  /// - Parameters:
  ///   - descriptor: open for writing; stays the caller's, unless ``ownsDescriptor``: then it is
  ///     closed with this sink. May be non-blocking.
  ///   - name: for messages.
  ///   - recordBound: the most bytes of a record, framing included; nil keeps no records together.
  ///   - carryBudget: the most bytes of memory for records that span leases.
  public init(
    descriptor: Int32 = 1, name: String = "standard output", ownsDescriptor: Bool = false,
    bytes: SinkBytes = .all, overflow: OverflowOptions = OverflowOptions(), maxConnections: Int,
    recordBound: Int?, carryBudget: Int = 1 << 30
  ) throws(SinkError) {
    // A regular file takes everything, or fails.
    let isFile = isRegularFile(descriptor)
    let waitsAside = overflow.policy != .block && !isFile
    let queue = waitsAside ? try OverflowQueue(overflow) : nil
    var carry = CarryPool()
    if let recordBound, recordBound > 0 {
      carry = try CarryPool(
        maxConnections: maxConnections, bound: recordBound, budget: carryBudget)
    }
    self.descriptor = descriptor
    self.name = name
    self.ownsDescriptor = ownsDescriptor
    self.isFile = isFile
    serials = SlotPool(capacity: maxConnections, repeating: 0)
    named = SlotPool(capacity: waitsAside ? maxConnections : 1, repeating: false)
    self.overflow = overflow
    self.queue = consume queue
    self.bytes = bytes
    self.recordBound = max(recordBound ?? 0, 0)
    self.carry = consume carry
    unsafe vectors = UnsafeMutablePointer<iovec>.allocate(capacity: StdoutSink.vectorLimit)
  }

  deinit {
    unsafe vectors.deallocate()
    if ownsDescriptor { close(descriptor) }
  }

  public var failures: [SinkFailure] { list.stored }
  public var pending: Int { isPolling || waitingBytes > 0 ? 1 : 0 }
  public var readsPayload: Bool { recordBound > 0 }

  public mutating func take(
    _ piece: Piece, of lease: borrowing Lease, at start: UInt32, in batch: inout Batch
  ) {
    let from = bytes == .all ? start : start &+ piece.lead
    let count = Int(bytes == .all ? piece.count : piece.payload)
    guard error == 0 else { return lose(count) }
    let address = unsafe UnsafeRawPointer(batch.area.address(of: lease.offset + UInt64(from)))
    guard recordBound > 0 else {
      return unsafe gather(address, count, begins: true, lease.connection, in: &batch)
    }
    if piece.last {
      let isCarried = endCarried(slot: lease.connection, in: &batch)
      unsafe gather(address, count, begins: !isCarried, lease.connection, in: &batch)
    } else if count > 0 {
      let fits = unsafe carry.append(slot: lease.connection, from: address, count: count)
      if !fits {
        lose(count)
        batch.refuse(tooLong(recordBound, serial: serials[lease.connection]))
      } else {
        counters.copiedBytes += UInt64(count)
      }
    }
  }

  public mutating func finish(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    flush(slot: lease.connection, in: &batch)
    if error != 0 {
      var fault = Fault(
        .sink, record: 0, offset: counters.bytes, expected: counters.bytes, found: UInt64(error))
      fault.connection = serials[lease.connection]
      batch.refuse(fault)
    }
    return lease.done()
  }

  public mutating func endRecord(of connection: Connection, in batch: inout Batch) {
    guard recordBound > 0, error == 0 else { return }
    _ = endCarried(slot: connection.slot, in: &batch)
    flush(slot: connection.slot, in: &batch)
  }

  public mutating func opened(_ connection: Connection, in batch: inout Batch) {
    serials[connection.slot] = connection.serial
    if queue != nil { named[connection.slot] = false }
  }
  public mutating func closed(
    _ connection: Connection, _ end: StreamEnd, in batch: inout Batch
  ) {
    lose(carry.drop(slot: connection.slot))
  }
  public mutating func endBatch(in batch: inout Batch) {
    if queue != nil { replay(in: &batch) }
  }
  public mutating func completed(_ index: UInt32, result: Int32, in batch: inout Batch) {
    // The end of the batch goes on with what waits.
    isPolling = false
  }

  /// The record gathered over earlier leases goes out before its last piece.
  private mutating func endCarried(slot: UInt32, in batch: inout Batch) -> Bool {
    guard let (buffer, record) = unsafe carry.take(slot: slot) else { return false }
    if carried != noIndex { flush(slot: slot, in: &batch) }
    unsafe gather(record.baseAddress!, record.count, begins: true, slot, in: &batch)
    carried = buffer
    return true
  }

  private mutating func gather(
    _ address: UnsafeRawPointer, _ count: Int, begins: Bool, _ slot: UInt32,
    in batch: inout Batch
  ) {
    guard count > 0 else { return }
    // Records that may be dropped are told apart.
    if vectorCount > 0, !(begins && queue != nil) {
      let last = unsafe vectors + (vectorCount - 1)
      if unsafe last.pointee.iov_base + last.pointee.iov_len == address {
        unsafe last.pointee.iov_len += count
        return
      }
    }
    if vectorCount == StdoutSink.vectorLimit { flush(slot: slot, in: &batch) }
    if begins { starts |= 1 << UInt64(vectorCount) }
    unsafe vectors[vectorCount] = iovec(
      iov_base: UnsafeMutableRawPointer(mutating: address), iov_len: count)
    vectorCount += 1
  }

  /// Writes what was gathered and forgets it, whether that worked or not.
  private mutating func flush(slot: UInt32, in batch: inout Batch) {
    if queue == nil { writeWaiting(from: 0, to: vectorCount) } else { writeNow(slot, in: &batch) }
    vectorCount = 0
    starts = 0
    guard carried != noIndex else { return }
    carry.give(carried)
    carried = noIndex
  }

  /// Writes vectors, however long that takes; counts how often it takes a wait.
  mutating func writeWaiting(from start: Int, to end: Int) {
    var first = start
    while first < end, error == 0 {
      let count = Int32(end - first)
      // Files take everything, and some refuse to say that they would have to wait.
      var result = isFile ? -Int64(EAGAIN) : unsafe ik_write_now(descriptor, vectors + first, count)
      if result == -Int64(EAGAIN) {
        if !isFile { counters.waits += 1 }
        let written = unsafe writev(descriptor, vectors + first, count)
        result = written < 0 ? -Int64(errno) : Int64(written)
      }
      if result < 0 {
        fail(Int32(-result))
        continue
      }
      counters.bytes += UInt64(result)
      counters.writes += 1
      counters.syncWrites += 1
      first = unsafe advance(vectors, from: first, to: end, by: Int(result))
    }
    lose(from: first, to: end)
  }

  /// Bytes that do not come to their target.
  private mutating func lose(_ count: Int) { counters.lostBytes += UInt64(count) }

  mutating func lose(from first: Int, to end: Int) {
    for index in first..<end { lose(unsafe vectors[index].iov_len) }
  }

  /// After an abort nobody writes what waits.
  public mutating func stop() {
    lose(waitingBytes)
    waitingBytes = 0
  }

  /// Waits where the descriptor is merely full; anything else is the end of this sink.
  mutating func fail(_ code: Int32) {
    switch code {
    case EINTR: return
    case EAGAIN:
      var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
      _ = unsafe poll(&wait, 1, -1)
    default:
      error = code
      counters.failures += 1
      counters.lostBytes += UInt64(waitingBytes)
      waitingBytes = 0
      queue = nil
      list.append(
        SinkFailure(target: name, step: .write, errno: code, safeBytes: counters.bytes))
    }
  }
}

/// Whether a descriptor is a regular file's.
private func isRegularFile(_ descriptor: Int32) -> Bool {
  var status = stat()
  return unsafe fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
}

/// Moves the start of a vector list past `count` written bytes; returns the first vector that is
/// not through.
func advance(
  _ vectors: UnsafeMutablePointer<iovec>, from first: Int, to end: Int, by count: Int
) -> Int {
  var index = first
  var left = count
  while index < end, unsafe left >= vectors[index].iov_len {
    unsafe left -= vectors[index].iov_len
    index += 1
  }
  invariant(index < end || left == 0, "the kernel wrote no more than it was given")
  if index < end {
    unsafe vectors[index].iov_base += left
    unsafe vectors[index].iov_len -= left
  }
  return index
}
