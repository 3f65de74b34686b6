public import RingCore

extension RecordStage where Self: ~Copyable {
  /// This stage, then another. The second sees what the first passes on.
  @inlinable
  public consuming func then<Other: RecordStage & ~Copyable>(
    _ other: consuming Other
  ) -> StagePair<Self, Other> {
    StagePair(self, other)
  }
}

/// Two stages as one. The lowest bit of a fault's code tells which of them found it, so their own
/// codes have 63 bits.
@frozen
public struct StagePair<First: RecordStage & ~Copyable, Second: RecordStage & ~Copyable>:
  RecordStage, ~Copyable
{
  public var first: First
  public var second: Second

  @inlinable
  init(_ first: consuming First, _ second: consuming Second) {
    self.first = first
    self.second = second
  }

  @frozen
  public struct State: BitwiseCopyable {
    @usableFromInline var first: First.State
    @usableFromInline var second: Second.State
    /// The record at hand was dropped by the first.
    @usableFromInline var isDropped = false
    @usableFromInline var isInside = false

    @inlinable
    init(_ first: First.State, _ second: Second.State) {
      self.first = first
      self.second = second
    }
  }

  public static var name: String { "\(First.name)+\(Second.name)" }
  @inlinable @inline(__always)
  public static var readsPayload: Bool { First.readsPayload || Second.readsPayload }
  @inlinable @inline(__always)
  public static var keepsLeases: Bool { First.keepsLeases || Second.keepsLeases }

  @inlinable
  public mutating func start(_ connection: Connection) -> State {
    State(first.start(connection), second.start(connection))
  }

  @inlinable @inline(__always)
  public mutating func take(
    _ piece: Piece, payload: RawSpan, state: inout State, in batch: inout Batch
  ) throws(StageFault) -> StageAnswer {
    let one: StageAnswer
    do throws(StageFault) {
      one = try first.take(piece, payload: payload, state: &state.first, in: &batch)
    } catch {
      throw StageFault(error.code << 1)
    }
    if piece.first || !state.isInside { state.isDropped = one == .drop }
    state.isInside = (state.isInside || piece.first) && !piece.last
    if state.isDropped { return .drop }
    let two: StageAnswer
    do throws(StageFault) {
      two = try second.take(piece, payload: payload, state: &state.second, in: &batch)
    } catch {
      throw StageFault(error.code << 1 | 1)
    }
    // One piece is told of once.
    switch (one, two) {
    case (.flawed(let code), .pass), (.flawed(let code), .flawed): return .flawed(code << 1)
    case (_, .flawed(let code)): return .flawed(code << 1 | 1)
    default: return two
    }
  }

  public static func sentence(for code: UInt64) -> String {
    code & 1 == 0
      ? "\(First.name): \(First.sentence(for: code >> 1))"
      : "\(Second.name): \(Second.sentence(for: code >> 1))"
  }

  @inlinable @inline(__always)
  public mutating func finish(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    if !Second.keepsLeases { return first.finish(lease, in: &batch) }
    if !First.keepsLeases { return second.finish(lease, in: &batch) }
    let another = lease.secondClaim()
    let left = first.finish(lease, in: &batch)
    let right = second.finish(another, in: &batch)
    return batch.join(left, right)
  }

  @inlinable
  public mutating func end(_ connection: Connection, _ end: StreamEnd, state: inout State) {
    first.end(connection, end, state: &state.first)
    second.end(connection, end, state: &state.second)
  }

  @inlinable @inline(__always)
  public mutating func flush(in batch: inout Batch) {
    first.flush(in: &batch)
    second.flush(in: &batch)
  }

  @inlinable public var pending: Int { first.pending &+ second.pending }
  public func failures() -> [String] { first.failures() + second.failures() }
}
