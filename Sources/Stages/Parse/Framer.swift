public import RingCore

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
  /// This piece starts a record / ends one. Both are set where a record lies in one lease.
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
public enum Step: BitwiseCopyable, Sendable {
  case piece(Piece)
  /// The stream cannot be followed any further.
  case fault(Fault)
}

/// Finds records in a byte stream.
///
/// The framer itself is configuration; what it must remember of a connection between two leases is
/// its `State`, plain memory that the chain keeps per connection slot.
public protocol Framer: Sendable {
  associatedtype State: BitwiseCopyable

  /// The state at the start of a stream.
  func start() -> State

  /// The next piece at `cursor` of `bytes`, which holds one lease; `cursor` < its size. Always
  /// advances: `count` of the piece is > 0.
  func next(_ state: inout State, _ bytes: RawSpan, at cursor: Int) -> Step

  /// What is wrong when the stream ends here, nil at a record's boundary.
  func end(_ state: State) -> Fault?

  /// The digest the record's sender gave for its payload, valid at the piece that ends a record.
  func expectedDigest(_ state: State) -> UInt64

  /// Records completed, and stream bytes consumed up to the start of the current record, in this
  /// connection.
  func position(_ state: State) -> (record: UInt64, offset: UInt64)
}
