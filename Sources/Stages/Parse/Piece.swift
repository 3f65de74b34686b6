/// A run of bytes of one record inside one lease.
///
/// A record is one or more pieces, in order: a record that spans leases is segments, never a copy.
/// Within a piece the bytes are, in this order, framing that leads (a prefix, a header), payload,
/// and framing that trails (a newline).
@frozen
public struct Piece: Equatable, BitwiseCopyable, Sendable {
  /// Bytes of leading framing.
  public var lead: UInt32
  /// Bytes of payload after the lead.
  public var payload: UInt32
  /// Bytes of trailing framing after the payload.
  public var trail: UInt32
  /// This piece starts a record / ends one. Both are set where a record lies in one lease; neither
  /// is ever set in a stream without records (``RawFramer``).
  public var first: Bool
  public var last: Bool

  @inlinable @inline(__always)
  public init(
    lead: UInt32 = 0, payload: UInt32, trail: UInt32 = 0, first: Bool, last: Bool
  ) {
    self.lead = lead
    self.payload = payload
    self.trail = trail
    self.first = first
    self.last = last
  }

  /// All bytes of the piece; the next one starts this far on.
  @inlinable @inline(__always) public var count: UInt32 { lead &+ payload &+ trail }
}

/// What a framer found at a place of a stream.
@frozen
public enum Step: Equatable, BitwiseCopyable, Sendable {
  case piece(Piece)
  /// Something is wrong, but the stream can be followed: it is reported, the piece goes on.
  case flawed(Piece, Flaw)
  /// The stream cannot be followed any further.
  case fault(Flaw)
}

/// What the end of a stream means where it comes.
@frozen
public enum Ending: Equatable, BitwiseCopyable, Sendable {
  /// Every record is complete.
  case boundary
  /// The record at hand is complete because the stream is, as a last line without a newline is.
  case recordEnds
  /// The stream stopped inside a record: bytes announced and bytes seen, framing included.
  case truncated(expected: UInt64, found: UInt64)
}
