public import RingCore

/// One slot of a send pool. A request is one slot or a list of them; what concerns the request as a
/// whole stands in its first slot, the head.
@usableFromInline
struct SendSlot: BitwiseCopyable {
  @usableFromInline var standing = SendStanding(.free)
  @usableFromInline var stream: UInt32 = 0
  /// The next slot of the request or of the generation; `SendPool.none` ends it.
  @usableFromInline var next: UInt32 = SendPool.none
  /// The next request of the stream's chain.
  @usableFromInline var chained: UInt32 = SendPool.none
  @usableFromInline var length: UInt32 = 0
  @usableFromInline var records: UInt32 = 0
  /// Bytes of the whole request, and those the kernel has taken.
  @usableFromInline var total: UInt32 = 0
  @usableFromInline var sent: UInt32 = 0
  /// Bytes taken whose notification is still to come.
  @usableFromInline var unreported: UInt32 = 0
  /// For which of the slot's last 64 hand-overs notifications are to come (bit = number mod 64).
  @usableFromInline var expected: UInt64 = 0
  /// Times the slot was handed to the kernel as a head, over all its uses.
  @usableFromInline var issue: UInt32 = 0
  @usableFromInline var generation: UInt32 = SendPool.none
  /// The last hand-over was with zero-copy.
  @usableFromInline var zeroCopy = false

  @inlinable init() {}

  @inlinable @inline(__always)
  var state: State {
    get { standing.state }
    set { standing.state = newValue }
  }

  /// Notifications to come.
  @inlinable @inline(__always)
  var pending: UInt32 {
    get { standing.pending }
    set { standing.pending = newValue }
  }

  /// The kernel copied a part whose notification has come.
  @inlinable @inline(__always)
  var copied: Bool {
    get { standing.copied }
    set { standing.copied = newValue }
  }

  /// What a slot is in the middle of. A structure, for reading an enumeration out of a word costs a
  /// comparison.
  @usableFromInline
  struct State: Equatable, BitwiseCopyable {
    @usableFromInline let rawValue: UInt8
    @inlinable @inline(__always) init(rawValue: UInt8) { self.rawValue = rawValue }

    @inlinable static var free: State { State(rawValue: 0) }
    /// Being written, or waiting to be handed to the kernel (again).
    @inlinable static var filled: State { State(rawValue: 1) }
    /// The kernel has the request and has not answered.
    @inlinable static var inFlight: State { State(rawValue: 2) }
    /// Taken as a whole; the kernel may still read the bytes.
    @inlinable static var awaiting: State { State(rawValue: 3) }
    /// Answered for; held until the rest of its generation is.
    @inlinable static var answered: State { State(rawValue: 4) }
  }
}

/// How a slot stands, in one word, so that one comparison tells whether it is as it should be.
@usableFromInline
struct SendStanding: Equatable, BitwiseCopyable {
  /// The state in the lowest byte, whether a part was copied in the next, and in the upper half
  /// notifications to come.
  @usableFromInline var word: UInt32

  @inlinable @inline(__always)
  init(_ state: SendSlot.State, pending: UInt32 = 0) {
    word = UInt32(state.rawValue) | pending &<< 16
  }

  @inlinable @inline(__always)
  var state: SendSlot.State {
    get { SendSlot.State(rawValue: UInt8(truncatingIfNeeded: word)) }
    set { word = word & ~0xff | UInt32(newValue.rawValue) }
  }

  @inlinable @inline(__always)
  var copied: Bool {
    get { word & 0x100 != 0 }
    set { word = word & ~0x100 | (newValue ? 0x100 : 0) }
  }

  @inlinable @inline(__always)
  var pending: UInt32 {
    get { word &>> 16 }
    set {
      invariant(newValue <= UInt32(UInt16.max), "notifications of one request, counted in 16 bits")
      word = word & 0xffff | newValue &<< 16
    }
  }
}
