import RingCore

/// Chunks as HTTP/1.1's chunked transfer coding writes them (RFC 9112, section 7.1): a line with
/// the size in hexadecimal digits and perhaps extensions after a `;`, the bytes, a line end; after
/// the last chunk, of size 0, trailers up to an empty line.
///
/// Each chunk is a record: its bound is known where the length of a message is not. The last one
/// is a record without payload, by which the end of a message is seen. A head before the first
/// chunk is leading framing of that chunk, and so are trailers of the last. A stream that ends
/// before its last chunk is a truncated one.
@frozen
public struct ChunkedFramer: Framer, Equatable {
  /// The most bytes of a chunk's payload.
  public let max: Int
  /// The most bytes of the line with the size, extensions and line end included.
  public let lineMax: Int
  /// The most bytes of all trailers, the empty line included.
  public let trailersMax: Int
  /// The most bytes of a head up to its empty line; 0 is no head.
  public let headMax: Int
  public let heads: Heads

  /// What a head comes before: the first message of a connection, or each.
  @frozen
  public enum Heads: String, Sendable, CaseIterable { case connection, message }

  public init(
    max: Int = LengthFramer.defaultMax, lineMax: Int = 4 << 10, trailersMax: Int = 64 << 10,
    headMax: Int = 0, heads: Heads = .connection
  ) {
    invariant(max > 0 && max <= 1 << 40, "a chunk's bound is from one byte to 1 TiB")
    invariant(lineMax >= 3 && lineMax <= 1 << 30, "a digit and a line end have three bytes")
    invariant(trailersMax >= 2 && trailersMax <= 1 << 30, "an empty line has two bytes")
    invariant(headMax >= 0 && headMax <= 1 << 30, "a head has up to 1 GiB")
    self.max = max
    self.lineMax = lineMax
    self.trailersMax = trailersMax
    self.headMax = headMax
    self.heads = heads
  }

  /// The most bytes of a record, head and framing included.
  public var recordBound: Int { headMax + lineMax + Swift.max(max + 2, trailersMax) }

  /// The bytes that end a chunk's payload.
  @usableFromInline static var closing: Int { 2 }

  @usableFromInline
  enum Phase: UInt8, BitwiseCopyable, Sendable {
    case head, size, digits, blank, extensions, newline, body, trailers
  }

  @frozen
  public struct State: BitwiseCopyable, Sendable {
    /// The size of the chunk at hand; while its digits come, what they say so far.
    @usableFromInline var value: UInt64
    /// Bytes of the payload and its line end still to come.
    @usableFromInline var left: Int
    /// Bytes of leading framing of the record at hand, head included; of its head, line or
    /// trailers alone.
    @usableFromInline var lead: Int
    @usableFromInline var section: Int
    @usableFromInline var phase: Phase
    @usableFromInline var line: EmptyLine
    /// A message has begun whose last chunk is still to come.
    @usableFromInline var inMessage: Bool

    @inlinable
    init(_ phase: Phase) {
      value = 0
      left = 0
      lead = 0
      section = 0
      self.phase = phase
      line = EmptyLine()
      inMessage = false
    }
  }

  @inlinable @inline(__always)
  public func start() -> State { State(headMax > 0 ? .head : .size) }

  /// - Cost: payload is not read, each byte of framing is looked at once.
  @inlinable @inline(__always)
  public func next(_ state: inout State, _ bytes: RawSpan, at cursor: Int) -> Step {
    let count = bytes.byteCount &- cursor
    // Bytes inside a chunk are most of a stream.
    guard state.left > count &+ ChunkedFramer.closing else {
      return edge(&state, bytes, at: cursor)
    }
    state.left &-= count
    return .piece(
      Piece(payload: UInt32(truncatingIfNeeded: count), first: false, last: false))
  }

  /// Where chunks begin and end.
  @inline(never) @usableFromInline
  func edge(_ state: inout State, _ bytes: RawSpan, at cursor: Int) -> Step {
    if state.phase == .body { return body(&state, bytes, at: cursor, lead: 0, first: false) }
    let first = state.lead == 0
    var place = cursor
    while place < bytes.byteCount {
      let byte = unsafe bytes.unsafeLoad(fromByteOffset: place, as: UInt8.self)
      place += 1
      state.lead += 1
      state.section += 1
      if let flaw = take(byte, &state) { return .fault(flaw) }
      if state.phase == .body {
        return body(&state, bytes, at: cursor, lead: place - cursor, first: first)
      }
      if state.lead == 0 {
        return .piece(Piece(lead: UInt32(place - cursor), payload: 0, first: first, last: true))
      }
    }
    return .piece(Piece(lead: UInt32(place - cursor), payload: 0, first: first, last: false))
  }

  /// Payload and the line end after it, as far as they are there.
  private func body(
    _ state: inout State, _ bytes: RawSpan, at cursor: Int, lead: Int, first: Bool
  ) -> Step {
    let available = bytes.byteCount - cursor - lead
    let payload = min(Swift.max(state.left - ChunkedFramer.closing, 0), available)
    state.left -= payload
    var trail = 0
    while trail < available - payload, state.left > 0 {
      let byte = unsafe bytes.unsafeLoad(
        fromByteOffset: cursor + lead + payload + trail, as: UInt8.self)
      let wanted: UInt8 = state.left == ChunkedFramer.closing ? 13 : 10
      guard byte == wanted else {
        let into = Int(state.value) + ChunkedFramer.closing - state.left
        return .fault(unexpected(byte, wanted, place: state.lead + into))
      }
      trail += 1
      state.left -= 1
    }
    let last = state.left == 0
    if last { startRecord(&state, .size, inMessage: true) }
    return .piece(
      Piece(
        lead: UInt32(lead), payload: UInt32(payload), trail: UInt32(trail), first: first,
        last: last))
  }

  private func startRecord(_ state: inout State, _ phase: Phase, inMessage: Bool) {
    state = State(phase)
    state.inMessage = inMessage
  }

  public func end(_ state: State) -> Ending {
    if state.phase == .body {
      let whole = state.lead + Int(state.value) + ChunkedFramer.closing
      return .truncated(expected: UInt64(whole), found: UInt64(whole - state.left))
    }
    // At least one byte more; without any of the last chunk, the five of its shortest form.
    if state.lead > 0 {
      return .truncated(expected: UInt64(state.lead + 1), found: UInt64(state.lead))
    }
    return state.inMessage ? .truncated(expected: 5, found: 0) : .boundary
  }
}

// MARK: - Framing, byte by byte

extension ChunkedFramer {
  /// One byte of leading framing; what is wrong with it, if anything is.
  private func take(_ byte: UInt8, _ state: inout State) -> Flaw? {
    switch state.phase {
    case .head, .trailers: return takeField(byte, &state)
    case .body: return nil
    case .size, .digits, .blank, .extensions, .newline:
      guard state.section <= lineMax else {
        return flaw(.lineTooLong, state, expected: UInt64(lineMax), found: UInt64(state.section))
      }
      return takeLine(byte, &state)
    }
  }

  /// Head and trailers: nothing in them matters but their end.
  private func takeField(_ byte: UInt8, _ state: inout State) -> Flaw? {
    let bound = state.phase == .head ? headMax : trailersMax
    guard state.section <= bound else {
      return flaw(.noEmptyLine, state, expected: UInt64(bound), found: UInt64(state.section))
    }
    guard state.line.ends(with: byte) else { return nil }
    if state.phase == .head {
      state.phase = .size
      state.section = 0
    } else {
      let heads = headMax > 0 && heads == .message
      startRecord(&state, heads ? .head : .size, inMessage: false)
    }
    return nil
  }

  /// The line with the size.
  private func takeLine(_ byte: UInt8, _ state: inout State) -> Flaw? {
    switch (state.phase, byte) {
    case (.size, _), (.digits, _):
      if let digit = ChunkedFramer.digit(byte) {
        // What does not fit any more is too long whatever follows.
        state.value = state.value >> 60 == 0 ? state.value << 4 | UInt64(digit) : .max
        state.phase = .digits
        return nil
      }
      guard state.phase == .digits else { return notASize(byte, state) }
      guard state.value <= UInt64(max) else {
        return flaw(
          .recordTooLong, state, expected: UInt64(max), found: state.value, back: state.section)
      }
      return takeAfterSize(byte, &state)
    case (.blank, _): return takeAfterSize(byte, &state)
    case (.extensions, 13): state.phase = .newline
    case (.extensions, 10): return unexpected(byte, 13, place: state.lead - 1)
    case (.newline, 10): endLine(&state)
    case (.newline, _): return unexpected(byte, 10, place: state.lead - 1)
    default: break
    }
    return nil
  }

  private func takeAfterSize(_ byte: UInt8, _ state: inout State) -> Flaw? {
    switch byte {
    case 13: state.phase = .newline
    case 32, 9: state.phase = .blank
    case UInt8(ascii: ";"): state.phase = .extensions
    default: return notASize(byte, state)
    }
    return nil
  }

  private func endLine(_ state: inout State) {
    state.inMessage = true
    state.section = 0
    guard state.value > 0 else {
      state.phase = .trailers
      state.line = EmptyLine()
      return
    }
    state.phase = .body
    state.left = Int(state.value) + ChunkedFramer.closing
  }

  private static func digit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 48...57: return byte - 48
    case 65...70: return byte - 55
    case 97...102: return byte - 87
    default: return nil
    }
  }

  private func notASize(_ byte: UInt8, _ state: State) -> Flaw {
    flaw(.chunkSize, state, expected: 0, found: UInt64(byte))
  }

  private func unexpected(_ byte: UInt8, _ wanted: UInt8, place: Int) -> Flaw {
    Flaw(
      .unexpectedByte, expected: UInt64(wanted), found: UInt64(byte), place: UInt64(place))
  }

  /// Told at the byte just taken, or at the first of the last `back`.
  private func flaw(
    _ kind: Fault.Kind, _ state: State, expected: UInt64, found: UInt64, back: Int = 1
  ) -> Flaw {
    Flaw(kind, expected: expected, found: found, place: UInt64(state.lead - back))
  }
}
