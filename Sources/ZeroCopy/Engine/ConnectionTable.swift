public import RingCore

/// The connections of one engine: a fixed number of slots, and two queues through them.
@safe
public struct ConnectionTable: ~Copyable {
  /// What the data path needs of a connection.
  @frozen
  public struct Entry: BitwiseCopyable {
    /// Bytes that were handed to the stage.
    @usableFromInline var bytes: UInt64 = 0
    /// While draining: `bytes` at which what the socket held at the stop is through.
    @usableFromInline var drainTarget: UInt64 = 0
    /// Since when its receives found no buffer to copy into (nanoseconds), and `bytes` then.
    var starvedSince: UInt64 = 0
    var starvedAt: UInt64 = 0
    @usableFromInline var state: State = .free
    @usableFromInline var flow: Flow = .open
    /// The next slot in whichever queue this one is in; `none` ends it.
    @usableFromInline var next: UInt32 = ConnectionTable.none
    @usableFromInline var descriptor: Int32 = -1
    /// Where the peer's address is kept account of.
    @usableFromInline var account: UInt32 = UInt32.max
    @usableFromInline var connection = Connection(slot: 0, serial: 0, peer: Endpoint())
  }

  @frozen
  public enum State: UInt8, Sendable {
    /// Whether bytes still go to the stage.
    @inlinable @inline(__always)
    var isWanted: Bool { rawValue < State.refused.rawValue }

    case free
    /// A receive is in flight, or about to be.
    case receiving
    /// Waits for free buffers.
    case paused
    /// Takes what the socket holds already, then ends.
    case draining
    /// What the socket held is through and both sides are shut down; what came meanwhile still
    /// goes to the stage, since the peer takes it for received.
    case ending
    /// A stage gave up on it: its bytes are discarded until the receive has ended.
    case refused
    /// It was still sending when the drain had to end; treated like `refused`.
    case cut
    /// Its peer has sent all that it may; treated like `refused`.
    case limited
  }

  /// What becomes of bytes that arrive: the one thing that the data path asks for each completion.
  @frozen
  public enum Flow: UInt8, Sendable {
    /// All of them go to the stage.
    case open
    /// All of them, and the connection ends when what its socket holds is through.
    case draining
    /// As many as the peer may still send.
    case metered
    /// None: the connection is to end.
    case shut

    /// Whether the peer may send what it likes.
    @inlinable @inline(__always)
    var takesAll: Bool { rawValue <= Flow.draining.rawValue }
  }

  /// A first-in first-out queue of slots, threaded through the entries.
  @frozen
  public struct Queue: BitwiseCopyable {
    @usableFromInline var first: UInt32 = ConnectionTable.none
    @usableFromInline var last: UInt32 = ConnectionTable.none
    public internal(set) var count: UInt32 = 0

    @inlinable public var isEmpty: Bool { first == ConnectionTable.none }
  }

  @inlinable static var none: UInt32 { .max }

  public let capacity: Int
  public internal(set) var open = 0
  @usableFromInline let entries: UnsafeMutablePointer<Entry>
  let freeSlots: UnsafeMutablePointer<UInt32>
  var freeCount: Int
  private var nextSerial: UInt64
  private let serialStep: UInt64

  /// `capacity` connections at 88 bytes each.
  public init(capacity: Int, firstSerial: UInt64 = 1, step: UInt64 = 1) {
    self.capacity = capacity
    nextSerial = firstSerial
    serialStep = step
    unsafe entries = UnsafeMutablePointer<Entry>.allocate(capacity: capacity)
    unsafe entries.initialize(repeating: Entry(), count: capacity)
    unsafe freeSlots = UnsafeMutablePointer<UInt32>.allocate(capacity: capacity)
    for index in 0..<capacity { unsafe freeSlots[index] = UInt32(capacity - 1 - index) }
    freeCount = capacity
  }

  deinit {
    unsafe entries.deallocate()
    unsafe freeSlots.deallocate()
  }

  var hasRoom: Bool { freeCount > 0 }

  /// A slot for a new connection; nil when all are taken.
  mutating func add(descriptor: Int32, peer: Endpoint) -> UInt32? {
    guard freeCount > 0 else { return nil }
    freeCount -= 1
    open += 1
    let slot = unsafe freeSlots[freeCount]
    var entry = Entry()
    entry.state = .receiving
    entry.descriptor = descriptor
    entry.connection = Connection(slot: slot, serial: nextSerial, peer: peer)
    nextSerial += serialStep
    unsafe entries[Int(slot)] = entry
    return slot
  }

  mutating func remove(_ slot: UInt32) {
    unsafe entries[Int(slot)].state = .free
    unsafe freeSlots[freeCount] = slot
    freeCount += 1
    open -= 1
  }

  /// The slot of a completion's tag; the engine made the tag, so a bad one is a bug of ours.
  @inlinable @inline(__always)
  subscript(_ slot: UInt32) -> Entry {
    get {
      invariant(Int(slot) < capacity, "a connection slot")
      return unsafe entries[Int(slot)]
    }
    _modify {
      invariant(Int(slot) < capacity, "a connection slot")
      yield unsafe &entries[Int(slot)]
    }
  }

  mutating func append(_ slot: UInt32, to queue: inout Queue) {
    unsafe entries[Int(slot)].next = ConnectionTable.none
    if queue.isEmpty {
      queue.first = slot
    } else {
      unsafe entries[Int(queue.last)].next = slot
    }
    queue.last = slot
    queue.count += 1
  }

  mutating func takeFirst(of queue: inout Queue) -> UInt32? {
    guard !queue.isEmpty else { return nil }
    let slot = queue.first
    queue.first = unsafe entries[Int(slot)].next
    if queue.first == ConnectionTable.none { queue.last = ConnectionTable.none }
    queue.count -= 1
    return slot
  }
}
