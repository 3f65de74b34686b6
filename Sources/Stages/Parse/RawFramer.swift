/// No framing: the stream is payload from end to end, without records.
///
/// - Cost: nothing is read and nothing remembered.
@frozen
public struct RawFramer: Framer, Equatable {
  @inlinable public init() {}

  /// Nothing needs to be remembered.
  @frozen
  public struct State: BitwiseCopyable, Sendable {
    @inlinable init() {}
  }

  @inlinable @inline(__always)
  public func start() -> State { State() }

  @inlinable @inline(__always)
  public func next(_ state: inout State, _ bytes: RawSpan, at cursor: Int) -> Step {
    .piece(
      Piece(
        payload: UInt32(truncatingIfNeeded: bytes.byteCount &- cursor), first: false,
        last: false))
  }

  @inlinable @inline(__always)
  public func end(_ state: State) -> Ending { .boundary }

  @inlinable @inline(__always) public var readsPayload: Bool { false }
}
