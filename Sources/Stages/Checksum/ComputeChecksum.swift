import RingCore
public import Wire

/// Keeps a digest of each connection's payload, framing left out. With `raw` that is the digest of
/// all its bytes.
///
/// - Cost: per piece one call of the digest's library; memory per connection 4 bytes for CRC-32C,
///   576 for XXH3.
public struct ComputeChecksum: Checksum, ~Copyable {
  private var digests: StreamDigests
  /// What each connection's digest must be when its stream ends.
  public let expected: UInt64?

  public init(_ kind: ChecksumKind, expected: UInt64? = nil, maxConnections: Int) {
    digests = StreamDigests(kind: kind, slotCount: maxConnections)
    self.expected = expected
  }

  @inlinable public static var readsPayload: Bool { true }

  public mutating func opened(slot: Int) { digests.reset(slot) }

  public mutating func take(
    _ bytes: RawSpan, payload: Range<Int>, of piece: Piece, slot: Int, expected: Expectation
  ) -> Flaw? {
    if !payload.isEmpty { digests.add(bytes.extracting(payload), to: slot) }
    return nil
  }

  public mutating func closed(slot: Int) -> Flaw? {
    guard let expected else { return nil }
    let found = digests.value(slot)
    return found == expected ? nil : Flaw(.checksum, expected: expected, found: found)
  }

  public func digest(slot: Int) -> UInt64? { digests.value(slot) }
  public var verified: UInt64 { 0 }
}
