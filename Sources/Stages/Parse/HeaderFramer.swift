public import RingCore

/// Records that start with a header of a fixed size, in which a number says how long they are:
/// what ``LengthFramer`` does for formats with more around the length than the length itself.
///
/// The header is leading framing, the trailer trailing framing, neither is looked at beyond the
/// length and the magic. A head that ends with an empty line may come once, before the first
/// record; it is leading framing of that record.
@frozen
public struct HeaderFramer: Framer, Equatable {
  /// Bytes of the header, with everything in it.
  public let size: Int
  public let length: Field
  public let magic: Magic
  /// Bytes after the payload that belong to the record and are not looked at.
  public let trailer: Int
  /// The most bytes of a record's payload, and of the head; 0 is no head.
  public let max: Int
  public let headMax: Int
  /// A header is taken with two loads of eight bytes where this many are there.
  @usableFromInline let reach: Int

  /// Where the length stands in the header.
  @frozen
  public struct Field: Equatable, BitwiseCopyable, Sendable {
    public let at: Int
    /// 1, 2, 3, 4 or 8.
    public let bytes: Int
    public let endian: LengthFramer.Endian
    /// What must be added to the number to get the bytes of payload.
    public let plus: Int

    @inlinable
    public init(at: Int, bytes: Int, endian: LengthFramer.Endian = .big, plus: Int = 0) {
      invariant(
        at >= 0 && [1, 2, 3, 4, 8].contains(bytes), "a length has 1, 2, 3, 4 or 8 bytes")
      invariant(abs(plus) <= 1 << 41, "what a length counts differs little from the payload")
      self.at = at
      self.bytes = bytes
      self.endian = endian
      self.plus = plus
    }
  }

  /// Bytes of the header that are the same in each record: at most eight, the first in the lowest
  /// place.
  @frozen
  public struct Magic: Equatable, BitwiseCopyable, Sendable {
    public let at: Int
    public let bytes: Int
    public let word: UInt64
    @usableFromInline let mask: UInt64

    @inlinable
    public init(at: Int, _ values: [UInt8]) {
      invariant(at >= 0 && values.count <= 8, "a magic has up to eight bytes")
      self.at = at
      bytes = values.count
      var word: UInt64 = 0
      for (place, value) in values.enumerated() { word |= UInt64(value) << UInt64(place * 8) }
      self.word = word
      mask = values.isEmpty ? 0 : .max >> UInt64(64 - values.count * 8)
    }

    @inlinable public static var none: Magic { Magic(at: 0, []) }
  }

  public init(
    size: Int, length: Field, magic: Magic = .none, trailer: Int = 0,
    max: Int = LengthFramer.defaultMax, headMax: Int = 0
  ) {
    invariant(size > 0 && size <= HeaderFramer.largestSize, "a header has 1 byte to 64 KiB")
    invariant(
      length.at + length.bytes <= size && magic.at + magic.bytes <= size,
      "length and magic lie in the header")
    invariant(trailer >= 0 && trailer <= HeaderFramer.largestSize, "a trailer has up to 64 KiB")
    invariant(max > 0 && max <= 1 << 40, "a record's bound is from one byte to 1 TiB")
    invariant(headMax >= 0 && headMax <= 1 << 30, "a head has up to 1 GiB")
    self.size = size
    self.length = length
    self.magic = magic
    self.trailer = trailer
    self.max = max
    self.headMax = headMax
    reach = Swift.max(size, length.at + 8, magic.at + 8)
  }

  /// 64 KiB, of header and trailer each.
  public static var largestSize: Int { 64 << 10 }

  /// The most bytes of a record, head and framing included.
  public var recordBound: Int { headMax + size + max + trailer }

  @frozen
  public struct State: BitwiseCopyable, Sendable {
    /// Bytes of the record at hand, head included, and those of payload and trailer still to come.
    @usableFromInline var whole: Int
    @usableFromInline var left: Int
    /// Bytes of head and header seen of a record whose header is not complete; of the head alone.
    @usableFromInline var lead: Int
    @usableFromInline var head: Int
    /// The bytes of a length that spans leases, the first in the lowest place.
    @usableFromInline var word: UInt64
    @usableFromInline var line: EmptyLine
    @usableFromInline var heading: Bool

    @inlinable
    init(heading: Bool) {
      whole = 0
      left = 0
      lead = 0
      head = 0
      word = 0
      line = EmptyLine()
      self.heading = heading
    }
  }

  @inlinable @inline(__always)
  public func start() -> State { State(heading: headMax > 0) }

  /// - Cost: two loads for a header that lies in one lease with eight bytes from each field on.
  @inlinable @inline(__always)
  public func next(_ state: inout State, _ bytes: RawSpan, at cursor: Int) -> Step {
    let available = bytes.byteCount &- cursor
    if state.left > 0 {
      let count = min(state.left, available)
      let payload = Swift.min(Swift.max(state.left &- trailer, 0), count)
      state.left &-= count
      return .piece(
        Piece(
          payload: UInt32(truncatingIfNeeded: payload),
          trail: UInt32(truncatingIfNeeded: count &- payload), first: false,
          last: state.left == 0))
    }
    guard state.lead == 0, !state.heading, available >= reach else {
      return gather(&state, bytes, at: cursor)
    }
    // `reach` bytes are there, and both fields end within it.
    let fixed = unsafe bytes.unsafeLoadUnaligned(
      fromByteOffset: cursor &+ magic.at, as: UInt64.self)
    if (fixed ^ magic.word) & magic.mask != 0 { return gather(&state, bytes, at: cursor) }
    let word = unsafe bytes.unsafeLoadUnaligned(
      fromByteOffset: cursor &+ length.at, as: UInt64.self)
    return begin(&state, word: word, lead: size, available: available, first: true)
  }

  /// Starts the record whose length is the low bytes of `word`, in stream order. `lead` bytes of
  /// its framing lie in this lease, of which `available` bytes are left, framing included.
  @inlinable @inline(__always)
  func begin(
    _ state: inout State, word: UInt64, lead: Int, available: Int, first: Bool
  ) -> Step {
    let unused = UInt64(truncatingIfNeeded: 64 &- 8 &* length.bytes)
    let value = length.endian == .big ? word.byteSwapped &>> unused : (word &<< unused) &>> unused
    let over = UInt64(truncatingIfNeeded: Swift.max(0, 0 &- length.plus))
    guard value >= over else {
      return .fault(flaw(.recordTooShort, state, expected: over, found: value))
    }
    let (sum, overflow) = (value &- over).addingReportingOverflow(
      UInt64(truncatingIfNeeded: Swift.max(0, length.plus)))
    guard !overflow, sum <= UInt64(truncatingIfNeeded: max) else {
      return .fault(
        flaw(
          .recordTooLong, state, expected: UInt64(truncatingIfNeeded: max),
          found: overflow ? .max : sum))
    }
    let body = Int(truncatingIfNeeded: sum) &+ trailer
    let taken = min(body, available &- lead)
    let payload = Swift.min(Int(truncatingIfNeeded: sum), taken)
    state.whole = state.head &+ size &+ body
    state.left = body &- taken
    state.lead = 0
    state.head = 0
    return .piece(
      Piece(
        lead: UInt32(truncatingIfNeeded: lead), payload: UInt32(truncatingIfNeeded: payload),
        trail: UInt32(truncatingIfNeeded: taken &- payload), first: first,
        last: state.left == 0))
  }

  /// A head, or a header that spans leases, ends close to the end of one or starts wrongly.
  @inline(never) @usableFromInline
  func gather(_ state: inout State, _ bytes: RawSpan, at cursor: Int) -> Step {
    let first = state.lead == 0
    var place = cursor
    while place < bytes.byteCount {
      let byte = unsafe bytes.unsafeLoad(fromByteOffset: place, as: UInt8.self)
      place += 1
      state.lead += 1
      if state.heading {
        state.head += 1
        guard state.head <= headMax else {
          return .fault(
            Flaw(
              .noEmptyLine, expected: UInt64(headMax), found: UInt64(state.head),
              place: UInt64(state.head - 1)))
        }
        if state.line.ends(with: byte) { state.heading = false }
        continue
      }
      let index = state.lead - state.head - 1
      if let flaw = take(byte, at: index, &state) { return .fault(flaw) }
      if index + 1 == size {
        let word = state.word
        state.word = 0
        return begin(
          &state, word: word, lead: place - cursor, available: bytes.byteCount - cursor,
          first: first)
      }
    }
    return .piece(Piece(lead: UInt32(place - cursor), payload: 0, first: first, last: false))
  }

  /// One byte of the header. A wrong one is told as soon as it is there: no more may come.
  private func take(_ byte: UInt8, at index: Int, _ state: inout State) -> Flaw? {
    if index >= length.at, index < length.at + length.bytes {
      state.word |= UInt64(byte) << UInt64((index - length.at) * 8)
    }
    guard index >= magic.at, index < magic.at + magic.bytes else { return nil }
    let wanted = UInt8(truncatingIfNeeded: magic.word >> UInt64((index - magic.at) * 8))
    guard byte != wanted else { return nil }
    return Flaw(
      .unexpectedByte, expected: UInt64(wanted), found: UInt64(byte),
      place: UInt64(state.head + index))
  }

  /// What is wrong with a length, told where the length stands.
  @inline(never) @usableFromInline
  func flaw(_ kind: Fault.Kind, _ state: State, expected: UInt64, found: UInt64) -> Flaw {
    Flaw(kind, expected: expected, found: found, place: UInt64(state.head + length.at))
  }

  public func end(_ state: State) -> Ending {
    if state.left > 0 {
      return .truncated(
        expected: UInt64(state.whole), found: UInt64(state.whole - state.left))
    }
    if state.heading, state.lead > 0 {
      return .truncated(expected: UInt64(state.lead + 1), found: UInt64(state.lead))
    }
    // A head without any record after it is complete.
    guard state.lead > state.head else { return .boundary }
    return .truncated(expected: UInt64(state.head + size), found: UInt64(state.lead))
  }
}
