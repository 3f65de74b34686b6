import CIngestKernel
import CIngestShm
import Glibc
public import RingCore

/// Hands each connection to another process when it ends: as a file in memory (memfd) that nobody
/// can change any more, in one message over a unix socket. The format is `ingest_file.h`.
///
/// Every byte is copied once, from the area into its file with write(2); ``SinkCounters`` says so.
/// The files of open connections have `max` bytes in all: a connection that needs more is refused,
/// with what it had. Files that were sent and not read yet come on top, at most about eight: then
/// the receiving thread waits for the reader, in steps of 100 ms in which it notices an abort, and
/// TCP holds the senders back.
///
/// - Cost: a connection takes about eight calls of the kernel, a lease one or more write(2).
@safe
public struct MemfdSink: Sink, ~Copyable {
  private let options: UnixSinkOptions
  private let control: RunControl
  private let socket: Int32
  private let slots: SlotPool<Slot>
  /// Bytes in the files of open connections.
  private var inFiles = 0
  /// The bytes of the lease in hand that are not in the file yet, as a range of the area.
  private var runStart: UInt64 = 0
  private var runLength: UInt32 = 0
  private var error: Int32 = 0
  private var list = FailureList()
  public private(set) var counters = SinkCounters()

  private struct Slot: BitwiseCopyable {
    var file: Int32 = -1
    var serial: UInt64 = 0
    var bytes: UInt64 = 0
    var records: UInt64 = 0
    /// Why the connection has no file any more; 0 while all is well.
    var failure: Int32 = 0
  }

  /// What may wait for the reader, in bytes as the kernel counts them (its least is 4608).
  private static var sendBuffer: Int32 { 4096 }

  /// Connects to the reader's socket (SOCK_SEQPACKET).
  public init(
    _ options: UnixSinkOptions, maxConnections: Int, control: RunControl
  ) throws(SinkError) {
    let socket = try options.connect(
      Int32(SOCK_SEQPACKET.rawValue), sendBuffer: MemfdSink.sendBuffer)
    self.options = options
    self.control = control
    self.socket = socket
    slots = SlotPool(capacity: maxConnections, repeating: Slot())
  }

  deinit {
    for index in 0..<UInt32(slots.capacity) where slots[index].file >= 0 {
      close(slots[index].file)
    }
    close(socket)
  }

  public var failures: [SinkFailure] { list.stored }
  public var pending: Int { 0 }
  public var readsPayload: Bool { true }

  public mutating func take(
    _ piece: Piece, of lease: borrowing Lease, at start: UInt32, in batch: inout Batch
  ) {
    let all = options.bytes == .all
    let from = lease.offset &+ UInt64(all ? start : start &+ piece.lead)
    if runStart &+ UInt64(runLength) != from {
      writeRun(slot: lease.connection, in: batch)
      runStart = from
    }
    runLength &+= all ? piece.count : piece.payload
    if piece.last { slots[lease.connection].records &+= 1 }
  }

  public mutating func finish(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    writeRun(slot: lease.connection, in: batch)
    if slots[lease.connection].failure != 0 { batch.refuse(fault(of: lease.connection)) }
    return lease.done()
  }

  public mutating func endRecord(of connection: Connection, in batch: inout Batch) {
    slots[connection.slot].records &+= 1
  }

  public mutating func opened(_ connection: Connection, in batch: inout Batch) {
    slots[connection.slot] = Slot(serial: connection.serial)
    let file = error == 0 ? unsafe ik_memfd_empty("ingest-connection") : -error
    if file >= 0 {
      slots[connection.slot].file = file
      counters.files += 1
    } else {
      failSlot(connection.slot, .open, -file)
      batch.refuse(fault(of: connection.slot))
    }
  }

  public mutating func closed(
    _ connection: Connection, _ end: StreamEnd, in batch: inout Batch
  ) {
    let slot = slots[connection.slot]
    slots[connection.slot] = Slot()
    guard slot.file >= 0 else { return }
    inFiles -= Int(slot.bytes)
    var message = ingest_file_message()
    message.magic = INGEST_FILE_MAGIC
    message.version = INGEST_FILE_VERSION
    message.end = UInt32(end.inFile)
    message.serial = slot.serial
    message.length = slot.bytes
    message.records = slot.records
    let sealed = ik_memfd_finish(slot.file)
    let failed = sealed != 0 ? -sealed : send(message, slot.file)
    // What was sent is the reader's; what was not is gone.
    close(slot.file)
    if failed == 0 {
      counters.bytes += slot.bytes
      counters.writes += 1
    } else {
      counters.lostBytes += slot.bytes
      counters.lostRecords += slot.records
    }
  }

  public mutating func endBatch(in batch: inout Batch) {}
  public mutating func completed(_ index: UInt32, result: Int32, in batch: inout Batch) {}

  /// Copies the run of the lease in hand into its connection's file.
  private mutating func writeRun(slot: UInt32, in batch: borrowing Batch) {
    let count = Int(runLength)
    runLength = 0
    guard slots[slot].file >= 0, count <= options.max - inFiles else {
      counters.lostBytes += UInt64(count)
      if slots[slot].file >= 0 { failSlot(slot, .write, ENOBUFS) }
      return
    }
    let address = unsafe batch.area.address(of: runStart)
    var done = 0
    while done < count {
      let result = unsafe write(slots[slot].file, address + done, count - done)
      if result > 0 {
        done += result
        slots[slot].bytes += UInt64(result)
        inFiles += result
        counters.copiedBytes += UInt64(result)
      } else if result == 0 || errno != EINTR {
        let code = result == 0 ? EIO : errno
        counters.lostBytes += UInt64(count - done)
        return failSlot(slot, .write, code)
      }
    }
  }

  /// Gives a connection up, with what its file holds.
  private mutating func failSlot(_ slot: UInt32, _ step: SinkFailure.Step, _ code: Int32) {
    slots[slot].failure = code
    counters.failures += 1
    let name = "\(options.path), connection \(slots[slot].serial)"
    if code == ENOBUFS {
      list.append(
        SinkFailure(
          target: name,
          detail: "the connections that have not ended need more memory than max= allows",
          remedy: "raise max=SIZE, or take --sink shm:PATH, which needs none"))
    } else if error == 0 {
      list.append(SinkFailure(target: name, step: step, errno: code, safeBytes: 0))
    }
    guard slots[slot].file >= 0 else { return }
    close(slots[slot].file)
    slots[slot].file = -1
    inFiles -= Int(slots[slot].bytes)
    counters.lostBytes += slots[slot].bytes
    counters.lostRecords += slots[slot].records
  }

  /// Sends one message with its file; waits for room. Returns an errno, 0 when it is under way.
  private mutating func send(_ message: ingest_file_message, _ file: Int32) -> Int32 {
    var message = message
    while error == 0 {
      let size = MemoryLayout<ingest_file_message>.size
      let sent = unsafe ik_send_descriptors(
        socket, &message, size, [file], 1, Int32(MSG_DONTWAIT))
      if sent == size { return 0 }
      guard sent == -Int64(EAGAIN) || sent == -Int64(ETOOMANYREFS) else {
        error = sent < 0 ? Int32(-sent) : EIO
        counters.failures += 1
        list.append(
          SinkFailure(
            target: options.path, step: .write, errno: error, safeBytes: counters.bytes))
        break
      }
      if control.asked() == .abort { return ECANCELED }
      counters.waits += 1
      // Too many descriptors under way is no state of the socket that poll could wait for.
      var wait = pollfd(fd: socket, events: Int16(POLLOUT), revents: 0)
      _ = unsafe poll(&wait, sent == -Int64(EAGAIN) ? 1 : 0, 100)
    }
    return error
  }

  private func fault(of slot: UInt32) -> Fault {
    var fault = Fault(
      .sink, record: 0, offset: 0, expected: slots[slot].bytes,
      found: UInt64(slots[slot].failure))
    fault.connection = slots[slot].serial
    return fault
  }
}

extension StreamEnd {
  /// How a reader is told.
  fileprivate var inFile: Int {
    switch self {
    case .finished: Int(INGEST_FILE_FINISHED)
    case .failed, .misplaced, .unsplit, .starved: Int(INGEST_FILE_FAILED)
    case .refused, .limited: Int(INGEST_FILE_REFUSED)
    case .stopped: Int(INGEST_FILE_STOPPED)
    }
  }
}
