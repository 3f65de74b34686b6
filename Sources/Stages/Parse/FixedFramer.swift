public import RingCore

/// Records of one size, without any framing.
@frozen
public struct FixedFramer: Framer, Equatable {
  /// Bytes of a record, at least 1.
  public let size: Int

  @inlinable
  public init(size: Int) {
    invariant(size > 0, "a record of a fixed size has at least one byte")
    self.size = size
  }

  @frozen
  public struct State: BitwiseCopyable, Sendable {
    /// Bytes of the record at hand still to come; 0 at a boundary.
    @usableFromInline var left: Int
    @inlinable init() { left = 0 }
  }

  @inlinable @inline(__always)
  public func start() -> State { State() }

  @inlinable @inline(__always)
  public func next(_ state: inout State, _ bytes: RawSpan, at cursor: Int) -> Step {
    let first = state.left == 0
    let wanted = first ? size : state.left
    let count = min(wanted, bytes.byteCount &- cursor)
    state.left = wanted &- count
    return .piece(
      Piece(
        payload: UInt32(truncatingIfNeeded: count), first: first, last: state.left == 0))
  }

  public func end(_ state: State) -> Ending {
    if state.left == 0 { return .boundary }
    return .truncated(expected: UInt64(size), found: UInt64(size - state.left))
  }

  @inlinable @inline(__always) public var readsPayload: Bool { false }
}
