public import RingCore
public import Wire

/// What is wrong with a record; the chain knows which one it is and where it starts, and makes a
/// `Fault` of both.
@frozen
public struct Flaw: Equatable, BitwiseCopyable, Sendable {
  public var kind: Fault.Kind
  public var expected: UInt64
  public var found: UInt64
  /// Bytes from the record's start to what is wrong.
  public var place: UInt64

  @inlinable
  public init(_ kind: Fault.Kind, expected: UInt64, found: UInt64, place: UInt64 = 0) {
    self.kind = kind
    self.expected = expected
    self.found = found
    self.place = place
  }
}

/// What the sender said about a record's payload.
@frozen
public struct Expectation: Equatable, BitwiseCopyable, Sendable {
  /// `none`: nothing was said.
  public var kind: ChecksumKind
  /// As ``Wire/Digest/of(_:_:)`` gives it.
  public var digest: UInt64
  /// The payload is the pattern of this seed, from position 0.
  public var patternSeed: UInt64?

  @inlinable
  public init(kind: ChecksumKind, digest: UInt64, patternSeed: UInt64? = nil) {
    self.kind = kind
    self.digest = digest
    self.patternSeed = patternSeed
  }

  @inlinable public static var nothing: Expectation { Expectation(kind: .none, digest: 0) }
}
