public import RingCore

/// What went through a chain.
@frozen
public struct ChainCounts: Equatable, BitwiseCopyable, Sendable {
  /// All bytes, framing included.
  public var bytes: UInt64
  /// Those of them that frame records.
  public var framingBytes: UInt64
  /// Records that have ended.
  public var records: UInt64

  @inlinable
  public init() {
    bytes = 0
    framingBytes = 0
    records = 0
  }

  @inlinable public var payloadBytes: UInt64 { bytes &- framingBytes }

  /// Framing is counted and payload is not, so that a stream without framing costs one addition.
  @inlinable @inline(__always)
  mutating func add(_ piece: Piece) {
    bytes &+= UInt64(piece.count)
    let framing = piece.lead &+ piece.trail
    if framing != 0 { framingBytes &+= UInt64(framing) }
    if piece.last { records &+= 1 }
  }
}

/// What a chain remembers of a connection.
@frozen @usableFromInline
struct ChainSlot<Framing: BitwiseCopyable>: BitwiseCopyable {
  @usableFromInline var framing: Framing
  @usableFromInline var counts: ChainCounts
  /// Where in the stream the record at hand starts, or the next one will.
  @usableFromInline var recordStart: UInt64
  /// The connection's serial number.
  @usableFromInline var serial: UInt64

  @inlinable
  init(_ framing: Framing) {
    self.framing = framing
    counts = ChainCounts()
    recordStart = 0
    serial = 0
  }

  @inlinable @inline(__always)
  mutating func add(_ piece: Piece) {
    counts.add(piece)
    if piece.last { recordStart = counts.bytes }
  }

  /// The record at hand is complete though no piece said so.
  @inlinable
  mutating func endRecord() {
    counts.records &+= 1
    recordStart = counts.bytes
  }

  /// A fault of the record at hand.
  @inline(never) @usableFromInline
  func fault(_ flaw: Flaw) -> Fault {
    fault(flaw, at: recordStart &+ flaw.place)
  }

  /// A fault of the stream as a whole: after its last record and byte.
  @inline(never) @usableFromInline
  func streamFault(_ flaw: Flaw) -> Fault {
    fault(flaw, at: counts.bytes)
  }

  private func fault(_ flaw: Flaw, at offset: UInt64) -> Fault {
    var fault = Fault(
      flaw.kind, record: counts.records, offset: offset, expected: flaw.expected,
      found: flaw.found)
    fault.connection = serial
    return fault
  }
}
