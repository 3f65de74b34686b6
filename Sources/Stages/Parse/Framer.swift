/// Finds records in a byte stream.
///
/// The framer itself is configuration; what it must remember of a connection between two leases is
/// its `State`, plain memory that the chain keeps per connection slot. It counts neither records
/// nor bytes: the chain does.
///
/// What is found must not depend on how the stream was cut into leases: pieces differ, records and
/// faults do not.
public protocol Framer: Sendable {
  associatedtype State: BitwiseCopyable

  /// The state at the start of a stream.
  func start() -> State

  /// The next piece at `cursor` of `bytes`, which holds one lease; `cursor` < its size. Always
  /// advances: `count` of the piece is > 0. Not called again after a fault.
  func next(_ state: inout State, _ bytes: RawSpan, at cursor: Int) -> Step

  /// What it means that the stream ends here.
  func end(_ state: State) -> Ending

  /// What the sender said about the record at hand. Asked for when the piece that completes the
  /// leading framing was handed out, and until the record ends.
  func expectation(_ state: State) -> Expectation

  /// Whether framing is found by looking at bytes. Areas of device memory refuse such framers.
  var readsPayload: Bool { get }
}

extension Framer {
  /// Most formats carry no digest.
  @inlinable @inline(__always)
  public func expectation(_ state: State) -> Expectation { .nothing }
  @inlinable @inline(__always) public var readsPayload: Bool { true }
}
