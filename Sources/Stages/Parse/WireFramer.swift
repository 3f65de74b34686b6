public import RingCore
public import Wire

/// The records of `ingest-send`: see ``Wire/WireHeader`` for the format.
///
/// A header that is not one, is damaged, of an unknown version or announces more than `max` ends
/// the stream: where the next record starts is not known then. A gap in the sequence is reported
/// and counting goes on from there.
@frozen
public struct WireFramer: Framer, Equatable {
  /// The most bytes of a record's payload.
  public let max: Int

  @inlinable
  public init(max: Int = WireFramer.defaultMax) {
    invariant(max > 0, "a record's bound is at least one byte")
    self.max = max
  }

  /// 64 MiB.
  @inlinable public static var defaultMax: Int { 64 << 20 }

  @frozen
  public struct State: BitwiseCopyable, Sendable {
    /// The record at hand, and its payload bytes still to come.
    @usableFromInline var header: WireHeader
    @usableFromInline var left: UInt32
    /// Bytes in `scratch`: a header that spans leases is gathered there.
    @usableFromInline var gathered: UInt32
    @usableFromInline var sequence: UInt64
    @usableFromInline var scratch: [32 of UInt8]

    @inlinable
    init() {
      header = WireHeader(length: 0, sequence: 0)
      left = 0
      gathered = 0
      sequence = 0
      scratch = [32 of UInt8](repeating: 0)
    }
  }

  @inlinable @inline(__always)
  public func start() -> State { State() }

  @inlinable @inline(__always)
  public func next(_ state: inout State, _ bytes: RawSpan, at cursor: Int) -> Step {
    let available = bytes.byteCount &- cursor
    if state.left > 0 {
      let count = UInt32(truncatingIfNeeded: min(Int(state.left), available))
      state.left &-= count
      return .piece(Piece(payload: count, first: false, last: state.left == 0))
    }
    guard state.gathered == 0, available >= WireHeader.size else {
      return gather(&state, bytes, at: cursor)
    }
    // What records usually are; what is wrong with others is found where there is time for it.
    if let header = WireHeader(sound: bytes, at: cursor), Int(header.length) <= max,
      header.sequence == state.sequence
    {
      return .piece(
        enter(&state, header, lead: WireHeader.size, available: available, first: true))
    }
    return begin(
      &state, bytes, at: cursor, lead: WireHeader.size, available: available, first: true)
  }

  @inlinable @inline(__always)
  public func expectation(_ state: State) -> Expectation {
    Expectation(
      kind: state.header.kind, digest: state.header.digest,
      patternSeed: state.header.patternSeed)
  }

  public func end(_ state: State) -> Ending {
    if state.left > 0 {
      let whole = UInt64(WireHeader.size) + UInt64(state.header.length)
      return .truncated(expected: whole, found: whole - UInt64(state.left))
    }
    if state.gathered > 0 {
      return .truncated(expected: UInt64(WireHeader.size), found: UInt64(state.gathered))
    }
    return .boundary
  }

  /// Starts the record whose header is at `start` of `header`. `lead` of its bytes lie in this
  /// lease, of which `available` bytes are left, header included.
  @inline(never) @usableFromInline
  func begin(
    _ state: inout State, _ header: RawSpan, at start: Int, lead: Int, available: Int,
    first: Bool
  ) -> Step {
    let found: WireHeader
    do {
      found = try WireHeader(decoding: header, at: start)
    } catch {
      return .fault(WireFramer.flaw(of: error))
    }
    guard found.length <= max else {
      return .fault(Flaw(.recordTooLong, expected: UInt64(max), found: UInt64(found.length)))
    }
    let expected = state.sequence
    let piece = enter(&state, found, lead: lead, available: available, first: first)
    if found.sequence != expected {
      return .flawed(piece, Flaw(.sequence, expected: expected, found: found.sequence))
    }
    return .piece(piece)
  }

  /// Makes the record of a header the one at hand.
  @inlinable @inline(__always)
  func enter(
    _ state: inout State, _ header: WireHeader, lead: Int, available: Int, first: Bool
  ) -> Piece {
    state.header = header
    state.sequence = header.sequence &+ 1
    let payload = UInt32(truncatingIfNeeded: min(Int(header.length), available &- lead))
    state.left = header.length &- payload
    return Piece(
      lead: UInt32(truncatingIfNeeded: lead), payload: payload, first: first,
      last: state.left == 0)
  }

  /// The header spans leases.
  @inline(never) @usableFromInline
  func gather(_ state: inout State, _ bytes: RawSpan, at cursor: Int) -> Step {
    let first = state.gathered == 0
    let available = bytes.byteCount - cursor
    let lead = min(WireHeader.size - Int(state.gathered), available)
    for index in 0..<lead {
      state.scratch[Int(state.gathered) + index] =
        unsafe bytes.unsafeLoad(fromByteOffset: cursor + index, as: UInt8.self)
    }
    state.gathered += UInt32(lead)
    guard state.gathered == WireHeader.size else {
      // What is no header is told as soon as that can be seen: the peer may send no more.
      if state.gathered >= 4 {
        let scratch = state.scratch
        let word = unsafe scratch.span.bytes.unsafeLoadUnaligned(
          fromByteOffset: 0, as: UInt32.self)
        guard word == WireHeader.magic else {
          return .fault(WireFramer.flaw(of: .magic(found: word)))
        }
      }
      return .piece(Piece(lead: UInt32(lead), payload: 0, first: first, last: false))
    }
    state.gathered = 0
    let scratch = state.scratch
    return unsafe begin(
      &state, scratch.span.bytes, at: 0, lead: lead, available: available, first: first)
  }

  private static func flaw(of failure: WireHeader.Failure) -> Flaw {
    switch failure {
    case .magic(let found):
      return Flaw(.badMagic, expected: UInt64(WireHeader.magic), found: UInt64(found))
    case .damaged(let computed, let stated):
      return Flaw(.badHeader, expected: UInt64(stated), found: UInt64(computed))
    case .version(let version):
      return Flaw(
        .unknownFormat, expected: UInt64(WireHeader.version), found: UInt64(version), place: 4)
    case .checksumKind(let kind):
      return Flaw(.checksumKind, expected: 2, found: UInt64(kind), place: 5)
    }
  }
}
