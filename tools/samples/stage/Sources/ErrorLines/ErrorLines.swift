import Ingest
public import RingCore
public import Stages

/// Passes on the errors of a log in glog's form, whose lines start with their severity's letter,
/// and refuses a peer that sends something else.
public struct ErrorLines: RecordStage {
  public static let name = "error-lines"
  public var errors = 0

  @inlinable public init() {}

  @inlinable
  public mutating func take(
    _ piece: Piece, payload: RawSpan, state: inout NoState, in batch: inout Batch
  ) throws(StageFault) -> StageAnswer {
    // The first piece decides for its record, and has at least its first byte.
    guard piece.first, payload.byteCount > 0 else { return piece.first ? .drop : .pass }
    switch payload.unsafeLoad(as: UInt8.self) {
    case UInt8(ascii: "E"), UInt8(ascii: "F"):
      errors += 1
      return .pass
    case UInt8(ascii: "I"), UInt8(ascii: "W"): return .drop
    case let other: throw StageFault(UInt64(other))
    }
  }

  public static func sentence(for code: UInt64) -> String {
    "a line starts with byte \(code), which is no severity: not a log of glog's form"
  }
}
