import RingCore
public import Wire

/// Compares each record's payload with the digest its sender gave.
///
/// A record that does not fit is a ``RingCore/Fault/Kind/checksum`` fault at the record's first
/// byte; where its payload is the pattern and lies in one lease, at the first byte that differs.
/// A record with another kind of digest, or none, cannot be verified: that is said once per
/// connection. Neither ends the stream.
///
/// - Cost: per piece one call of the digest's library; records in one lease take its one-shot
///   function. Memory per connection as for ``ComputeChecksum``, plus one byte.
@frozen @safe
public struct VerifyChecksum: Checksum, ~Copyable {
  @usableFromInline var digests: StreamDigests
  /// Per slot, whether the connection was told of records that cannot be verified.
  @usableFromInline let told: UnsafeMutablePointer<Bool>
  @usableFromInline var fitting: UInt64 = 0

  public init(_ kind: ChecksumKind, maxConnections: Int) {
    digests = StreamDigests(kind: kind, slotCount: maxConnections)
    unsafe told = UnsafeMutablePointer<Bool>.allocate(capacity: maxConnections)
    unsafe told.initialize(repeating: false, count: maxConnections)
  }

  deinit { unsafe told.deallocate() }

  @inlinable public static var readsPayload: Bool { true }

  public mutating func opened(slot: Int) {
    digests.reset(slot)  // refuses a slot that is none
    unsafe told[slot] = false
  }

  @inlinable @inline(__always)
  public mutating func take(
    _ bytes: RawSpan, payload: Range<Int>, of piece: Piece, slot: Int, expected: Expectation
  ) -> Flaw? {
    // What records usually are: whole, in one lease, and as they were sent.
    if piece.first && piece.last && expected.kind == digests.kind
      && Digest.of(bytes.extracting(payload), digests.kind) == expected.digest
    {
      fitting &+= 1
      return nil
    }
    return examine(bytes, payload: payload, of: piece, slot: slot, expected: expected)
  }

  /// Pieces of records in several leases, and whole ones with which something is wrong.
  @inline(never) @usableFromInline
  mutating func examine(
    _ bytes: RawSpan, payload: Range<Int>, of piece: Piece, slot: Int, expected: Expectation
  ) -> Flaw? {
    if piece.first && !piece.last { digests.reset(slot) }
    // Part of a header: what the sender said is not known yet.
    if payload.isEmpty && !piece.last { return nil }
    guard expected.kind == digests.kind else { return unverifiable(expected.kind, slot) }
    let part = bytes.extracting(payload)
    let found: UInt64
    if piece.first && piece.last {
      found = Digest.of(part, digests.kind)
    } else {
      digests.add(part, to: slot)
      guard piece.last else { return nil }
      found = digests.value(slot)
    }
    if found == expected.digest {
      fitting &+= 1
      return nil
    }
    var flaw = Flaw(.checksum, expected: expected.digest, found: found)
    if piece.first && piece.last, let seed = expected.patternSeed,
      let byte = Pattern.firstDifference(part, seed: seed)
    {
      flaw.place = UInt64(piece.lead) + UInt64(byte)
    }
    return flaw
  }

  private mutating func unverifiable(_ kind: ChecksumKind, _ slot: Int) -> Flaw? {
    // A slot in range: the digests' own check came before, in `opened`.
    if unsafe told[slot] { return nil }
    unsafe told[slot] = true
    return Flaw(
      .checksumKind, expected: UInt64(digests.kind.rawValue), found: UInt64(kind.rawValue))
  }

  public mutating func closed(slot: Int) -> Flaw? { nil }
  public func digest(slot: Int) -> UInt64? { nil }
  public var verified: UInt64 { fitting }
}
