/// One thing that happened, in 32 bytes.
///
/// A completion is recorded as the kernel posted it (``OperationTag`` of its user_data, result and
/// flags, offset in the area); what the engine made of it follows under a ``Kind``, which begins
/// where the kinds of operations are far from.
@frozen
public struct FlightEvent: Equatable, BitwiseCopyable, Sendable {
  /// Kind in the top byte, 24 bits of the kind's own, and an index: mostly a connection's slot.
  public var tag: OperationTag
  public var first: UInt64
  public var second: UInt64
  public var third: UInt64

  @inlinable
  public init(
    _ kind: Kind, detail: UInt32 = 0, index: UInt32 = 0, _ first: UInt64 = 0,
    _ second: UInt64 = 0, _ third: UInt64 = 0
  ) {
    let word = UInt64(kind.rawValue) &<< 56 | UInt64(detail & 0xff_ffff) &<< 32 | UInt64(index)
    tag = OperationTag(rawValue: word)
    self.first = first
    self.second = second
    self.third = third
  }

  /// A completion: its user_data, result, flags and area offset.
  public init(completion tag: OperationTag, result: Int32, flags: UInt32, offset: UInt64) {
    self.tag = tag
    first = UInt64(UInt32(bitPattern: result)) | UInt64(flags) << 32
    second = offset
    third = 0
  }

  /// Little-endian words of a file.
  public init(words: (UInt64, UInt64, UInt64, UInt64)) {
    tag = OperationTag(rawValue: words.0)
    (first, second, third) = (words.1, words.2, words.3)
  }

  public var kind: Kind? { Kind(rawValue: tag.kindByte) }
  /// What the completion answers; nil for what is none.
  public var operation: OperationTag.Kind? { OperationTag.Kind(rawValue: tag.kindByte) }
  public var index: UInt32 { tag.index }
  public var detail: UInt32 { tag.generation }

  // Of a completion.
  public var result: Int32 { Int32(truncatingIfNeeded: first) }
  public var flags: UInt32 { UInt32(truncatingIfNeeded: first >> 32) }

  @frozen
  public enum Kind: UInt8, Sendable, CaseIterable {
    /// A batch begins: index = completions, which follow; first = CLOCK_MONOTONIC nanoseconds;
    /// second = leases held, receives paused << 32; third = buffers that the kernel has free to
    /// fill (or refill entries it has not read), leases since the start << 32 (modulo 2^32).
    case batch = 0x80
    /// How the engine waited, where that is not as before or the wait failed: index = completions
    /// wanted, first = timeout in nanoseconds, second = microseconds of minimum wait, third = its
    /// errno.
    case wait
    /// A stage held a lease beyond its batch: index = slot, first = offset, second = length.
    case held
    /// Up to three held leases came back: detail = how many; their offsets.
    case gaveBack
    /// The kernel was told to read the refill ring: first = errno, second = entries unread before.
    case flushed
    /// A receive was armed: index = slot.
    case armed
    /// A receive waits for buffers: index = slot.
    case paused
    /// Paused receives go on: index = how many.
    case resumed
    /// A connection has a slot: index = slot, detail = 1 where another engine accepted it,
    /// first = serial number.
    case opened
    /// Turned away: the table is full, the run is stopping, or the peer is not to be served.
    case rejected
    /// An accepted socket went to the engine whose queue its data comes through.
    case handedOver
    /// A stage gave up on a connection: index = slot.
    case refused
    /// index = slot, detail = ``StreamEnd/code``, first = serial number, second = bytes,
    /// third = errno.
    case closed
    /// A stop was asked for: sockets are drained.
    case stopping
    /// What could not be drained in time was cut: index = how many connections.
    case cutOff
    /// The run is over: like ``batch``, without completions.
    case ended
    /// Something outside the thread's work: index = ``FlightNote``, first = nanoseconds,
    /// second = bytes of text, which follows in cells of 24 bytes.
    case note
    case text
  }
}

/// What the control thread notes.
public enum FlightNote: UInt32, Sendable, CaseIterable {
  case link = 1
  case drift
  case stall
  case copied
  case failure
  case signal
}

extension StreamEnd {
  /// How it is recorded.
  public var code: UInt32 {
    switch self {
    case .finished: 0
    case .failed: 1
    case .refused: 2
    case .stopped: 3
    case .misplaced: 4
    case .unsplit: 5
    case .limited: 6
    case .starved: 7
    }
  }

  /// Of a recorded code; nil for one that this build does not know.
  public init?(code: UInt32, errno: Int32) {
    switch code {
    case 0: self = .finished
    case 1: self = .failed(errno)
    case 2: self = .refused
    case 3: self = .stopped
    case 4: self = .misplaced
    case 5: self = .unsplit
    case 6: self = .limited
    case 7: self = .starved
    default: return nil
    }
  }
}
