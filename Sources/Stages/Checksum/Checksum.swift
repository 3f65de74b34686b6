/// What a chain does with payload bytes between parse and sink: nothing, a running digest, or a
/// comparison with what the sender said.
///
/// Slots are those of connections; everything per slot is allocated at the start.
public protocol Checksum: ~Copyable {
  /// Whether payload is looked at. Where it is not, the chain has no code for it.
  static var readsPayload: Bool { get }

  /// The slot has a new connection.
  mutating func opened(slot: Int)

  /// Takes the payload of one piece, `payload` in `bytes`, which holds its lease. `expected` is
  /// what the sender said about the record; it counts from the piece that completes the leading
  /// framing on. Returns what is wrong with the record that this piece ends.
  mutating func take(
    _ bytes: RawSpan, payload: Range<Int>, of piece: Piece, slot: Int, expected: Expectation
  ) -> Flaw?

  /// The stream ended at a place of its sender's choosing. Returns what is wrong with the whole.
  mutating func closed(slot: Int) -> Flaw?

  /// The digest of the payload since the slot was opened, where one is kept.
  func digest(slot: Int) -> UInt64?

  /// Records whose digest fits what their sender said, over all connections.
  var verified: UInt64 { get }
}

/// No checksum.
///
/// - Cost: nothing, not even a branch.
@frozen
public struct NoChecksum: Checksum {
  @inlinable public init() {}
  @inlinable @inline(__always) public static var readsPayload: Bool { false }
  @inlinable @inline(__always) public mutating func opened(slot: Int) {}
  @inlinable @inline(__always)
  public mutating func take(
    _ bytes: RawSpan, payload: Range<Int>, of piece: Piece, slot: Int, expected: Expectation
  ) -> Flaw? { nil }
  @inlinable @inline(__always) public mutating func closed(slot: Int) -> Flaw? { nil }
  @inlinable @inline(__always) public func digest(slot: Int) -> UInt64? { nil }
  @inlinable @inline(__always) public var verified: UInt64 { 0 }
}
