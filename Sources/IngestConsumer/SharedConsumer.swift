public import CIngestShm
import Glibc

/// Reads records that `ingest --sink shm:PATH` received, in the memory they were received into.
///
/// ```swift
/// var consumer = try SharedConsumer(path: "/run/ingest.sock")
/// while let record = try consumer.next() {
///   switch record.kind {
///   case .piece: consumer.withBytes(of: record) { use($0) }
///   case .claim: consumer.giveBack(record)
///   case .opened, .closed: break
///   }
/// }
/// ```
///
/// Bytes stay as they are until the claim that follows them is given back, at any time and in any
/// order. A claim that is never given back is memory that the receiver lacks, and one that waits
/// for later records may wait for ever, since those may need it. For one thread at a time. The
/// format is `ingest_shm.h`, whose functions do the work here.
@safe
public struct SharedConsumer: ~Copyable {
  private let connection: SharedConnection
  private var consumer: ingest_shm_consumer
  /// Records taken since the producer was last told.
  private var untold: UInt32 = 0
  private let tellEvery: UInt32

  /// Connects, and waits until the receiver has taken this consumer: at once, unless another one is
  /// being served.
  ///
  /// The kernel calls are socket, connect, recvmsg, fstat and mmap.
  public init(path: String) throws(SharedConsumerError) {
    let connection = try SharedConnection(path: path)
    var consumer = unsafe ingest_shm_consumer()
    let status = unsafe ingest_shm_open(
      &consumer, connection.ring.base, UInt64(connection.ring.byteCount),
      UnsafeRawPointer(connection.area.base), connection.hello.area_bytes)
    guard status == 0 else { throw .format }
    tellEvery = unsafe max(1, min(256, consumer.record_count / 2))
    self.connection = connection
    unsafe self.consumer = consumer
  }

  /// The next record, waited for; nil when the receiver has ended well and all was read. Throws
  /// ``SharedConsumerError/ended`` when the receiver ended in any other way, after what it left.
  ///
  /// - Cost: a copy of 64 bytes; a release store and a fence for up to 256 records; while there are
  ///   none, poll(2).
  public mutating func next() throws(SharedConsumerError) -> SharedRecord? {
    var record = ingest_shm_record()
    while unsafe ingest_shm_next(&consumer, &record) == 0 {
      publish()
      if unsafe ingest_shm_ended(&consumer) != 0 { return nil }
      guard unsafe ingest_shm_may_sleep(&consumer) != 0 else { continue }
      if connection.sleep() { continue }
      // The end may have been written after the last look.
      if unsafe ingest_shm_next(&consumer, &record) != 0 { break }
      if unsafe ingest_shm_ended(&consumer) != 0 { return nil }
      throw .ended
    }
    untold += 1
    if untold >= tellEvery { publish() }
    guard let known = SharedRecord(record) else { throw .format }
    return known
  }

  /// Whether ``next()`` has a record without waiting. Where not, give back what is done with: the
  /// receiver may be waiting for that before it can go on.
  public mutating func hasNext() -> Bool { unsafe ingest_shm_ready(&consumer) != 0 }

  /// Calls `body` with the bytes of a piece, in place: lead, payload and trail. Nil when the record
  /// names bytes outside the area.
  public func withBytes<Result>(of record: SharedRecord, _ body: (RawSpan) -> Result) -> Result? {
    var consumer = unsafe consumer
    var raw = record.raw
    guard let start = unsafe ingest_shm_bytes(&consumer, &raw) else { return nil }
    // The bounds were checked against the mapping, which lives as long as this value.
    return body(unsafe RawSpan(_unsafeStart: start, byteCount: record.byteCount))
  }

  /// Gives the bytes of a ``SharedRecord/Kind/claim`` back; once.
  public mutating func giveBack(_ claim: SharedRecord) {
    guard claim.kind == .claim else { return }
    unsafe ingest_shm_give_back(&consumer, claim.raw.claim)
  }

  /// Lets the receiver see what was read and given back. ``next()`` does so now and then, and
  /// before it waits.
  public mutating func publish() {
    untold = 0
    if unsafe ingest_shm_publish(&consumer) != 0 { connection.wake() }
  }
}

/// What happened to a connection, or a piece of one of its records.
public struct SharedRecord: Sendable {
  public let kind: Kind
  /// As it lay in the ring.
  public let raw: ingest_shm_record

  public enum Kind: UInt16, Sendable {
    case opened = 1
    case piece, closed, claim
  }

  init?(_ raw: ingest_shm_record) {
    guard let kind = Kind(rawValue: raw.kind) else { return nil }
    self.kind = kind
    self.raw = raw
  }

  /// Names one connection of the receiver's run, from 1.
  public var serial: UInt64 { raw.serial }
  /// Bytes of the piece in all, and of its payload, which starts after ``lead``.
  public var byteCount: Int { Int(raw.lead) + Int(raw.payload) + Int(raw.trail) }
  public var lead: Int { Int(raw.lead) }
  public var payload: Int { Int(raw.payload) }
  /// The piece starts a record / ends one.
  public var isFirst: Bool { raw.flags & UInt16(INGEST_SHM_FIRST) != 0 }
  public var isLast: Bool { raw.flags & UInt16(INGEST_SHM_LAST) != 0 }
  /// Earlier bytes of the connection that opens here went to another consumer, or were let go of.
  public var isResumed: Bool { raw.flags & UInt16(INGEST_SHM_RESUMED) != 0 }
  /// Of a connection that closed: whether its peer finished it.
  public var isFinished: Bool { raw.detail == UInt32(INGEST_SHM_FINISHED) }
}

/// Why records cannot be read.
public enum SharedConsumerError: Error, Equatable, CustomStringConvertible {
  /// A call to the kernel failed.
  case kernel(step: String, errno: Int32)
  /// The other side speaks another format, or another version of it.
  case format
  /// The receiver went away without an end.
  case ended

  public var description: String {
    switch self {
    case .kernel(let step, let errno):
      let text = unsafe String(cString: strerror(errno))
      let hint =
        errno == ENOENT || errno == ECONNREFUSED
        ? "; start the receiver first: `ingest --sink shm:PATH`" : ""
      return "could not \(step): \(text)\(hint)"
    case .format:
      return "the receiver speaks another version of the format: build both from one release"
    case .ended:
      return "the receiver went away; what it had handed over by then was read"
    }
  }
}
