import CIngestShm
import RingCore

/// The producer's end of the memory that a consumer process maps: writes records, reads give-backs.
/// The format is `ingest_shm.h`.
///
/// The consumer can write all of this memory at any time. So every position of this side is kept
/// here and never read back, each word of the consumer's is read once, and no value of it that
/// could not be is acted upon: ``Flaw`` then, and the caller lets go of the consumer.
///
/// - Cost: a record is one cache line written. Publishing is one release store, one fence.
@safe
struct SharedRing {
  /// What is wrong with a word of the consumer's.
  enum Flaw: Equatable {
    /// It claims to have read records that were not written, or to have unread some.
    case readPosition
    /// More give-backs than there are places for them.
    case returnPosition
    /// A claim came back that was not out.
    case claim
  }

  private let header: UnsafeMutablePointer<ingest_shm_header>
  private let records: UnsafeMutablePointer<ingest_shm_record>
  private let returns: UnsafeMutablePointer<UInt64>
  let recordCount: UInt32
  let returnCount: UInt32
  /// Records written, and those of them that the consumer may see.
  private(set) var written: UInt32 = 0
  private var published: UInt32 = 0
  /// The consumer's position as last read: at most `written` behind it.
  private var seenRead: UInt32 = 0
  /// Give-backs taken.
  private var taken: UInt32 = 0

  static let headerBytes = MemoryLayout<ingest_shm_header>.stride
  static let recordBytes = MemoryLayout<ingest_shm_record>.stride
  static let returnBytes = MemoryLayout<UInt64>.stride

  /// Bytes of memory for so many places, each a power of two.
  static func byteCount(records: Int, returns: Int) -> Int {
    headerBytes + records * recordBytes + returns * returnBytes
  }

  /// Writes the header. `memory` must be zeroed, of ``byteCount(records:returns:)`` bytes, aligned
  /// to a page, and outlive this value.
  @unsafe
  init(
    unsafeMemory memory: UnsafeMutableRawPointer, records: Int, returns: Int, areaBytes: Int,
    thread: Int
  ) {
    invariant(records > 0 && records & (records - 1) == 0, "places are a power of two")
    invariant(returns > 0 && returns & (returns - 1) == 0, "places are a power of two")
    let recordsAt = SharedRing.headerBytes
    let returnsAt = recordsAt + records * SharedRing.recordBytes
    var header = ingest_shm_header()
    header.magic = INGEST_SHM_MAGIC
    header.version = INGEST_SHM_VERSION
    header.header_bytes = UInt32(SharedRing.headerBytes)
    header.area_bytes = UInt64(areaBytes)
    header.ring_bytes = UInt64(SharedRing.byteCount(records: records, returns: returns))
    header.record_bytes = UInt32(SharedRing.recordBytes)
    header.record_count = UInt32(records)
    header.records_at = UInt32(recordsAt)
    header.return_bytes = UInt32(SharedRing.returnBytes)
    header.return_count = UInt32(returns)
    header.returns_at = UInt32(returnsAt)
    header.thread = UInt32(thread)
    unsafe self.header = memory.bindMemory(to: ingest_shm_header.self, capacity: 1)
    unsafe self.header.initialize(to: header)
    unsafe self.records = (memory + recordsAt).bindMemory(
      to: ingest_shm_record.self, capacity: records)
    unsafe self.returns = (memory + returnsAt).bindMemory(to: UInt64.self, capacity: returns)
    recordCount = UInt32(records)
    returnCount = UInt32(returns)
  }

  /// Whether a record can be written, by what was last read of the consumer's position.
  @inline(__always) var hasRoom: Bool { written &- seenRead < recordCount }

  /// Records that the consumer has not read, as last seen.
  var unread: UInt32 { written &- seenRead }

  /// Reads how far the consumer is. Records are unread after they are published and before they are
  /// read, so its position moves from the last one up to `published`.
  mutating func readPosition() -> Flaw? {
    // Acquire, with the consumer's release: it is through with the places that are written next.
    let read = unsafe ingest_shm_load(&header.pointee.record_head)
    guard read &- seenRead <= published &- seenRead else { return .readPosition }
    seenRead = read
    return nil
  }

  /// Writes a record; there must be room.
  @inline(__always)
  mutating func push(_ record: ingest_shm_record) {
    invariant(hasRoom, "a record is written where there is room")
    // The remainder is below `recordCount`, which the memory was sized for.
    unsafe records[Int(written & (recordCount &- 1))] = record
    written &+= 1
  }

  /// Lets the consumer see what was written. True when it sleeps and has to be woken.
  mutating func publish() -> Bool {
    guard published != written else { return false }
    published = written
    // Release: the records are written before the consumer sees the position that covers them.
    unsafe ingest_shm_store(&header.pointee.record_tail, written)
    // A fence, then the consumer's word: it sets that, a fence, then reads the position. One of the
    // two sees the other.
    return unsafe ingest_shm_must_wake(&header.pointee.consumer_waits) != 0
  }

  /// Asks the consumer for a byte when it next reads records or gives claims back. What it did
  /// before is there to be read after this.
  mutating func announceWait() {
    unsafe ingest_shm_store(&header.pointee.producer_waits, 1)
    // Our word, then its positions; it publishes positions, then reads our word.
    ingest_shm_fence()
  }

  /// Give-backs that wait to be taken; nil when there cannot be as many.
  func readyReturns() -> UInt32? {
    // Acquire, with the consumer's release: the claims are written.
    let ready = unsafe ingest_shm_load(&header.pointee.return_tail) &- taken
    return ready <= returnCount ? ready : nil
  }

  /// The next give-back, whatever it says.
  mutating func takeReturn() -> UInt64 {
    let claim = unsafe ingest_shm_read64(returns + Int(taken & (returnCount &- 1)))
    taken &+= 1
    return claim
  }

  /// The places of what was taken are the consumer's again.
  func retireReturns() {
    // Release: our reads come before its next writes.
    unsafe ingest_shm_store(&header.pointee.return_head, taken)
  }

  /// Says that no record will follow. True when the consumer sleeps.
  mutating func end() -> Bool {
    _ = publish()
    // Release: the last records come before the end.
    unsafe ingest_shm_store(&header.pointee.ended, 1)
    return unsafe ingest_shm_must_wake(&header.pointee.consumer_waits) != 0
  }
}
