import Glibc
public import RingCore

/// Writes to a descriptor, in the order of arrival, straight out of the area with writev(2).
///
/// The receiving thread waits for each write: a slow reader fills the sockets, and TCP slows the
/// senders down. With a `recordBound`, records of different connections do not mix: those within
/// one lease are written from the area, those that span leases are copied and written when they
/// end. Without one (the stream has no records) leases are written as they come.
///
/// SIGPIPE must be ignored by the process; the reader's end is then a ``SinkFailure`` with EPIPE,
/// and every connection is refused.
@safe
public struct StdoutSink: Sink, ~Copyable {
  /// How many runs of bytes one writev(2) takes; a lease of many short payloads needs several.
  static var vectorLimit: Int { 64 }

  private let descriptor: Int32
  private let name: String
  private let bytes: SinkBytes
  private let vectors: UnsafeMutablePointer<iovec>
  private var vectorCount = 0
  /// 0: leases are written as they come.
  private let recordBound: Int
  private var carry: CarryPool
  /// Carry buffers named by `vectors`, free after the next write: a lease ends at most one record
  /// that began in an earlier lease, a framer's short piece may add to it.
  private var carried = noIndex
  /// The serial number of the connection in each slot.
  private let serials: SlotPool<UInt64>
  private var error: Int32 = 0
  private var list = FailureList()
  public private(set) var counters = SinkCounters()

  /// - Parameters:
  ///   - descriptor: open for writing; stays the caller's. May be non-blocking.
  ///   - name: for messages.
  ///   - recordBound: the most bytes of a record, framing included; nil keeps no records together.
  ///   - carryBudget: the most bytes of memory for records that span leases.
  public init(
    descriptor: Int32 = 1, name: String = "standard output", bytes: SinkBytes = .all,
    maxConnections: Int, recordBound: Int?, carryBudget: Int = 1 << 30
  ) throws(SinkError) {
    var carry = CarryPool()
    if let recordBound, recordBound > 0 {
      carry = try CarryPool(
        maxConnections: maxConnections, bound: recordBound, budget: carryBudget)
    }
    self.descriptor = descriptor
    self.name = name
    serials = SlotPool(capacity: maxConnections, repeating: 0)
    self.bytes = bytes
    self.recordBound = max(recordBound ?? 0, 0)
    self.carry = consume carry
    unsafe vectors = UnsafeMutablePointer<iovec>.allocate(capacity: StdoutSink.vectorLimit)
  }

  deinit { unsafe vectors.deallocate() }

  public var failures: [SinkFailure] { list.stored }
  public var pending: Int { 0 }
  public var readsPayload: Bool { recordBound > 0 }

  public mutating func take(
    _ piece: Piece, of lease: borrowing Lease, at start: UInt32, in batch: inout Batch
  ) {
    guard error == 0 else { return }
    let from = bytes == .all ? start : start &+ piece.lead
    let count = Int(bytes == .all ? piece.count : piece.payload)
    let address = unsafe UnsafeRawPointer(batch.area.address(of: lease.offset + UInt64(from)))
    guard recordBound > 0 else { return unsafe gather(address, count) }
    if piece.last {
      endCarried(slot: lease.connection)
      unsafe gather(address, count)
    } else if count > 0 {
      let fits = unsafe carry.append(slot: lease.connection, from: address, count: count)
      if !fits {
        batch.refuse(tooLong(recordBound, serial: serials[lease.connection]))
      } else {
        counters.copiedBytes += UInt64(count)
      }
    }
  }

  public mutating func finish(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    flush()
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
    endCarried(slot: connection.slot)
    flush()
  }

  public mutating func opened(_ connection: Connection, in batch: inout Batch) {
    serials[connection.slot] = connection.serial
  }
  public mutating func closed(
    _ connection: Connection, _ end: StreamEnd, in batch: inout Batch
  ) {
    carry.drop(slot: connection.slot)
  }
  public mutating func endBatch(in batch: inout Batch) {}
  public mutating func completed(_ index: UInt32, result: Int32, in batch: inout Batch) {}

  /// The record gathered over earlier leases goes out before its last piece.
  private mutating func endCarried(slot: UInt32) {
    guard let (buffer, record) = unsafe carry.take(slot: slot) else { return }
    if carried != noIndex { flush() }
    unsafe gather(record.baseAddress!, record.count)
    carried = buffer
  }

  private mutating func gather(_ address: UnsafeRawPointer, _ count: Int) {
    guard count > 0 else { return }
    if vectorCount > 0 {
      let last = unsafe vectors + (vectorCount - 1)
      if unsafe last.pointee.iov_base + last.pointee.iov_len == address {
        unsafe last.pointee.iov_len += count
        return
      }
      if vectorCount == StdoutSink.vectorLimit { flush() }
    }
    unsafe vectors[vectorCount] = iovec(
      iov_base: UnsafeMutableRawPointer(mutating: address), iov_len: count)
    vectorCount += 1
  }

  /// Writes what was gathered and forgets it, whether that worked or not.
  private mutating func flush() {
    var first = 0
    while first < vectorCount, error == 0 {
      let result = unsafe writev(descriptor, vectors + first, Int32(vectorCount - first))
      if result < 0 {
        fail(errno)
        continue
      }
      counters.bytes += UInt64(result)
      counters.writes += 1
      counters.syncWrites += 1
      first = unsafe advance(vectors, from: first, to: vectorCount, by: result)
    }
    vectorCount = 0
    guard carried != noIndex else { return }
    carry.give(carried)
    carried = noIndex
  }

  /// Waits where the descriptor is merely full; anything else is the end of this sink.
  private mutating func fail(_ code: Int32) {
    switch code {
    case EINTR: return
    case EAGAIN:
      var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
      _ = unsafe poll(&wait, 1, -1)
    default:
      error = code
      counters.failures += 1
      list.append(
        SinkFailure(target: name, step: .write, errno: code, safeBytes: counters.bytes))
    }
  }
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
