public import Glibc
public import RingCore

/// Lines: payload up to a newline (byte 10), which is trailing framing. A carriage return before
/// it is payload like any other byte. What follows the last newline is a record too, ended by the
/// stream's end; a stream that ends with a newline has no empty line after it.
@frozen
public struct LinesFramer: Framer, Equatable {
  /// The most bytes of a line, newline not counted.
  public let max: Int

  @inlinable
  public init(max: Int = LinesFramer.defaultMax) {
    invariant(max > 0 && max <= 1 << 62, "a line's bound is from one byte to 2^62")
    self.max = max
  }

  /// 64 KiB.
  @inlinable public static var defaultMax: Int { 64 << 10 }

  @frozen
  public struct State: BitwiseCopyable, Sendable {
    /// Bytes of the line at hand seen so far, at most `max`.
    @usableFromInline var seen: Int
    @inlinable init() { seen = 0 }
  }

  @inlinable @inline(__always)
  public func start() -> State { State() }

  /// - Cost: one memchr(3) over the line.
  @inlinable @inline(__always)
  public func next(_ state: inout State, _ bytes: RawSpan, at cursor: Int) -> Step {
    let first = state.seen == 0
    let room = max &- state.seen
    // One byte more than may belong to the line: a newline is allowed there, nothing else.
    let window = min(bytes.byteCount &- cursor, room &+ 1)
    let newline = unsafe bytes.withUnsafeBytes { buffer -> Int? in
      // `cursor` < the span's size, and the window ends within it.
      let start = unsafe buffer.baseAddress.unsafelyUnwrapped + cursor
      guard let found = unsafe memchr(start, 10, window) else { return nil }
      return unsafe UnsafeRawPointer(found) - start
    }
    if let newline {
      state.seen = 0
      return .piece(
        Piece(
          payload: UInt32(truncatingIfNeeded: newline), trail: 1, first: first, last: true))
    }
    guard window <= room else {
      return .fault(Flaw(.lineTooLong, expected: UInt64(max), found: UInt64(max) + 1))
    }
    state.seen &+= window
    return .piece(
      Piece(payload: UInt32(truncatingIfNeeded: window), first: first, last: false))
  }

  public func end(_ state: State) -> Ending { state.seen == 0 ? .boundary : .recordEnds }
}
