/// What a stage may use while a batch is handled: the area's memory, the ring for its own requests,
/// a way back for held leases and a way to report. Owned by the engine, valid during the call.
@frozen @safe
public struct Batch: ~Copyable {
  public let area: AreaMemory
  /// For requests of the stage's own, tagged with ``OperationTag/Kind/stage``.
  public let submissions: SubmissionQueue?
  /// CLOCK_MONOTONIC in nanoseconds, read once per batch.
  public var now: UInt64
  /// Bytes received on the connection that is being closed; valid during ``Stage/closed(_:_:in:)``.
  public private(set) var streamBytes: UInt64 = 0
  /// Set by ``refuse(_:)`` when the stream cannot go on; the engine closes the connection.
  @usableFromInline package var refused: Bool
  @usableFromInline let returns: UnsafeMutablePointer<UInt64>
  @usableFromInline let returnCapacity: Int
  @usableFromInline package var returnCount: Int
  @usableFromInline package var faults: FaultLog
  /// Slots to refuse whose leases are not being handled right now.
  let refusals: UnsafeMutablePointer<UInt32>
  @usableFromInline package private(set) var refusalCount = 0
  static let refusalLimit = 256

  /// `holdLimit` is the most leases that stages may hold at a time: held claims come back through
  /// a list of that size.
  public init(area: AreaMemory, submissions: SubmissionQueue?, holdLimit: Int, faultLimit: Int = 64)
  {
    self.area = area
    self.submissions = submissions
    self.now = 0
    self.refused = false
    unsafe self.returns = UnsafeMutablePointer<UInt64>.allocate(capacity: max(holdLimit, 1))
    self.returnCapacity = max(holdLimit, 1)
    self.returnCount = 0
    self.faults = FaultLog(capacity: faultLimit)
    unsafe refusals = UnsafeMutablePointer<UInt32>.allocate(capacity: Batch.refusalLimit)
  }

  deinit {
    unsafe returns.deallocate()
    unsafe refusals.deallocate()
  }

  /// The most leases that may be held at a time.
  @inlinable public var holdLimit: Int { returnCapacity }

  /// Gives a held lease back. The engine returns it to the kernel at the end of the batch.
  @inlinable @inline(__always)
  public mutating func giveBack(_ held: consuming Held) {
    invariant(returnCount < returnCapacity, "more leases given back than may be held")
    unsafe returns[returnCount] = held.release()
    returnCount &+= 1
  }

  @inlinable @inline(__always)
  package mutating func takeReturns(_ body: (UInt64) -> Void) {
    for index in 0..<returnCount { body(unsafe returns[index]) }
    returnCount = 0
  }

  /// Records a fault of the connection whose lease is being handled and lets its stream go on.
  public mutating func report(_ fault: Fault) { faults.append(fault) }

  /// Records a fault of any open connection and has the engine close it at the end of the batch.
  /// For failures found later than its leases: a write that failed. At most 256 in a batch; one
  /// more is forgotten, so a stage asks again when the next of its requests fails.
  public mutating func refuse(_ fault: Fault, slot: UInt32) {
    faults.append(fault)
    guard refusalCount < Batch.refusalLimit else { return }
    unsafe refusals[refusalCount] = slot
    refusalCount += 1
  }

  @usableFromInline
  package mutating func setStreamBytes(_ bytes: UInt64) { streamBytes = bytes }

  package mutating func takeRefusal() -> UInt32? {
    guard refusalCount > 0 else { return nil }
    refusalCount -= 1
    return unsafe refusals[refusalCount]
  }

  /// Hands the batch's faults out, oldest first, and forgets them.
  @usableFromInline
  package mutating func drainFaults(_ body: (Fault) -> Void) { faults.drain(body) }

  /// Faults reported since the start, those not kept included.
  @usableFromInline
  package var faultTotal: UInt64 { faults.total }

  /// Records a fault after which the connection's stream cannot be followed: the engine closes the
  /// connection; leases of it still under way are given back unseen.
  public mutating func refuse(_ fault: Fault) {
    faults.append(fault)
    refused = true
  }
}

/// The faults of a batch: a fixed number in full, the rest counted.
@frozen @safe
public struct FaultLog: ~Copyable {
  @usableFromInline let memory: UnsafeMutablePointer<Fault>
  @usableFromInline let capacity: Int
  public private(set) var count = 0
  /// All faults since the start, those not stored included.
  public private(set) var total: UInt64 = 0

  init(capacity: Int) {
    unsafe memory = UnsafeMutablePointer<Fault>.allocate(capacity: capacity)
    self.capacity = capacity
  }

  deinit { unsafe memory.deallocate() }

  mutating func append(_ fault: Fault) {
    total += 1
    guard count < capacity else { return }
    unsafe (memory + count).initialize(to: fault)
    count += 1
  }

  /// Hands the stored faults out, oldest first, and forgets them.
  package mutating func drain(_ body: (Fault) -> Void) {
    for index in 0..<count { body(unsafe memory[index]) }
    count = 0
  }
}
