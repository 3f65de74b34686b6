public import RingCore

/// Records that start with their length in bytes, as an unsigned number of 1, 2, 4 or 8 bytes.
@frozen
public struct LengthFramer: Framer, Equatable {
  /// Bytes of the prefix: 1, 2, 4 or 8.
  public let bytes: Int
  public let endian: Endian
  /// Whether the number counts the prefix itself too.
  public let counted: Bool
  /// The most bytes of a record's payload.
  public let max: Int

  @frozen
  public enum Endian: String, Sendable, CaseIterable { case big, little }

  @inlinable
  public init(
    bytes: Int = 4, endian: Endian = .big, counted: Bool = false,
    max: Int = LengthFramer.defaultMax
  ) {
    invariant(
      bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8, "a prefix has 1, 2, 4 or 8 bytes")
    invariant(max > 0 && max <= 1 << 62, "a record's bound is from one byte to 2^62")
    self.bytes = bytes
    self.endian = endian
    self.counted = counted
    self.max = max
  }

  /// 16 MiB.
  @inlinable public static var defaultMax: Int { 16 << 20 }

  @frozen
  public struct State: BitwiseCopyable, Sendable {
    /// Payload bytes of the record at hand, and those of them still to come.
    @usableFromInline var length: Int
    @usableFromInline var left: Int
    /// The bytes of a prefix that spans leases, the first in the lowest place; and how many.
    @usableFromInline var prefix: UInt64
    @usableFromInline var gathered: Int

    @inlinable
    init() {
      length = 0
      left = 0
      prefix = 0
      gathered = 0
    }
  }

  @inlinable @inline(__always)
  public func start() -> State { State() }

  @inlinable @inline(__always)
  public func next(_ state: inout State, _ bytes: RawSpan, at cursor: Int) -> Step {
    let available = bytes.byteCount &- cursor
    if state.left > 0 {
      let count = min(state.left, available)
      state.left &-= count
      return .piece(
        Piece(
          payload: UInt32(truncatingIfNeeded: count), first: false, last: state.left == 0))
    }
    guard state.gathered == 0, available >= 8 else { return gather(&state, bytes, at: cursor) }
    // One load whatever the prefix's size: eight bytes are there.
    let word = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: cursor, as: UInt64.self)
    return begin(&state, word: word, lead: self.bytes, available: available, first: true)
  }

  /// Starts a record whose prefix is the low bytes of `word`, in stream order; `lead` of them lie
  /// in this lease, of which `available` bytes are left, prefix included.
  @inlinable @inline(__always)
  func begin(
    _ state: inout State, word: UInt64, lead: Int, available: Int, first: Bool
  ) -> Step {
    let unused = UInt64(truncatingIfNeeded: 64 &- 8 &* bytes)
    let value = endian == .big ? word.byteSwapped &>> unused : (word &<< unused) &>> unused
    let own = counted ? UInt64(truncatingIfNeeded: bytes) : 0
    guard value >= own else {
      return .fault(Flaw(.recordTooShort, expected: own, found: value))
    }
    guard value &- own <= UInt64(truncatingIfNeeded: max) else {
      return .fault(
        Flaw(.recordTooLong, expected: UInt64(truncatingIfNeeded: max), found: value &- own))
    }
    let length = Int(truncatingIfNeeded: value &- own)
    let payload = min(length, available &- lead)
    state.length = length
    state.left = length &- payload
    return .piece(
      Piece(
        lead: UInt32(truncatingIfNeeded: lead), payload: UInt32(truncatingIfNeeded: payload),
        first: first, last: state.left == 0))
  }

  /// The prefix spans leases, or ends close to the end of one.
  @inline(never) @usableFromInline
  func gather(_ state: inout State, _ bytes: RawSpan, at cursor: Int) -> Step {
    let first = state.gathered == 0
    let available = bytes.byteCount - cursor
    let lead = min(self.bytes - state.gathered, available)
    for index in 0..<lead {
      let byte = unsafe bytes.unsafeLoad(fromByteOffset: cursor + index, as: UInt8.self)
      state.prefix |= UInt64(byte) << UInt64((state.gathered + index) * 8)
    }
    state.gathered += lead
    guard state.gathered == self.bytes else {
      return .piece(Piece(lead: UInt32(lead), payload: 0, first: first, last: false))
    }
    let word = state.prefix
    state.prefix = 0
    state.gathered = 0
    return begin(&state, word: word, lead: lead, available: available, first: first)
  }

  public func end(_ state: State) -> Ending {
    if state.left > 0 {
      return .truncated(
        expected: UInt64(bytes + state.length),
        found: UInt64(bytes + state.length - state.left))
    }
    if state.gathered > 0 {
      return .truncated(expected: UInt64(bytes), found: UInt64(state.gathered))
    }
    return .boundary
  }
}
