public import RingCore

/// A stage of your own, between checksum and sink.
///
/// It sees every piece of every record, in the order of its connection's stream, and answers for
/// it. One instance serves one thread, so nothing in it needs a lock; it is compiled into the
/// receive loop, so a piece costs what the code in ``take(_:payload:state:in:)`` costs and no call.
///
/// ```swift
/// struct Errors: RecordStage {
///   static let name = "errors"
///   var count = 0
///   mutating func take(
///     _ piece: Piece, payload: RawSpan, state: inout NoState, in batch: inout Batch
///   ) -> StageAnswer {
///     if piece.first, payload.byteCount > 0,
///       payload.unsafeLoad(as: UInt8.self) == UInt8(ascii: "E") { count += 1 }
///     return .pass
///   }
/// }
/// ```
///
/// What the data path must not do holds here, too: no allocation, no lock, no class or existential
/// per piece. `tools/gates/hotpath` shows how to have a binary looked at for that.
public protocol RecordStage: ~Copyable, SendableMetatype {
  /// What the stage remembers of a connection: plain memory, which the chain keeps per slot.
  associatedtype State: BitwiseCopyable = NoState

  /// Names the stage in faults and prices. A word; the same for every instance.
  static var name: String { get }
  /// Whether the stage reads payload with the CPU. A pipeline over device memory refuses a stage
  /// that does; one that does not gets empty spans everywhere. True where nothing is said.
  static var readsPayload: Bool { get }
  /// Whether ``finish(_:in:)`` is to be called, for stages that keep leases.
  static var keepsLeases: Bool { get }

  /// The state of a connection that was accepted just now.
  mutating func start(_ connection: Connection) -> State

  /// One piece of a record. `payload` is what lies in this piece, without framing, valid during
  /// the call. The answer to a record's first piece decides whether the record goes on to what
  /// comes next: a `drop` for a later one is not heard. Without records (`--parse raw`) every piece
  /// is decided on its own.
  ///
  /// Throwing ends the connection, with a fault that names the stage: for streams that make no
  /// sense to it. Other connections go on.
  mutating func take(
    _ piece: Piece, payload: RawSpan, state: inout State, in batch: inout Batch
  ) throws(StageFault) -> StageAnswer

  /// All pieces of the lease were taken. The claim is this stage's own, whatever others do with the
  /// same bytes: give it back (`lease.done()`), or keep it (``LeasePool``) and give it back in a
  /// later ``flush(in:)``. Only called where ``keepsLeases`` says so.
  mutating func finish(_ lease: consuming Lease, in batch: inout Batch) -> Verdict

  /// The connection has ended; its state is forgotten after this.
  mutating func end(_ connection: Connection, _ end: StreamEnd, state: inout State)

  /// A batch ends: once per wake-up of the thread, also when nothing came, never between the pieces
  /// of a lease. Give back kept leases.
  mutating func flush(in batch: inout Batch)

  /// Leases kept, or other work to finish before the receiver may stop.
  var pending: Int { get }

  /// What the code of a fault of this stage means, as a sentence without a full stop. Asked for
  /// outside the data path.
  static func sentence(for code: UInt64) -> String

  /// What went wrong in the stage itself, as sentences; each makes the run a failed one. Asked for
  /// once, when the receiver has ended.
  func failures() -> [String]
}

/// No state per connection.
@frozen
public struct NoState: BitwiseCopyable, Sendable {
  @inlinable public init() {}
}

extension RecordStage where Self: ~Copyable {
  @inlinable @inline(__always) public static var readsPayload: Bool { true }
  @inlinable @inline(__always) public static var keepsLeases: Bool { false }
  @inlinable @inline(__always)
  public mutating func finish(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    lease.done()
  }
  @inlinable
  public mutating func end(_ connection: Connection, _ end: StreamEnd, state: inout State) {}
  @inlinable @inline(__always) public mutating func flush(in batch: inout Batch) {}
  @inlinable @inline(__always) public var pending: Int { 0 }
  public static func sentence(for code: UInt64) -> String { "code \(code)" }
  public func failures() -> [String] { [] }
}

extension RecordStage where Self: ~Copyable, State == NoState {
  @inlinable @inline(__always)
  public mutating func start(_ connection: Connection) -> NoState { NoState() }
}

/// What a stage says of a piece.
@frozen
public enum StageAnswer: Equatable, BitwiseCopyable, Sendable {
  /// It goes on to the next stage.
  case pass
  /// The record ends here: what comes next does not see it.
  case drop
  /// The record is told of as a fault with this code, and goes on.
  case flawed(UInt64)
}

/// Why a stage refuses a connection: a code that ``RecordStage/sentence(for:)`` explains.
@frozen
public struct StageFault: Error, Equatable, BitwiseCopyable, Sendable {
  public var code: UInt64

  @inlinable
  public init(_ code: UInt64) { self.code = code }
}

/// No stage of one's own: records go from checksum to sink.
///
/// - Cost: nothing; chains with it have no code for a stage.
@frozen
public struct NoStage: RecordStage {
  public static var name: String { "none" }
  @inlinable public init() {}
  @inlinable @inline(__always) public static var readsPayload: Bool { false }
  @inlinable @inline(__always)
  public mutating func take(
    _ piece: Piece, payload: RawSpan, state: inout NoState, in batch: inout Batch
  ) -> StageAnswer { .pass }
}
