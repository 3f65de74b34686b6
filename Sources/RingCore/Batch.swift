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
  /// The digest of its payload, where a checksum stage before this one kept one; valid like
  /// ``streamBytes``.
  @usableFromInline package var streamDigest: UInt64?
  /// The engine ends when stages have nothing ``Stage/pending`` any more.
  public package(set) var isStopping = false
  /// Set by ``refuse(_:)`` when the stream cannot go on; the engine closes the connection.
  @usableFromInline package var refused: Bool
  @usableFromInline let returns: UnsafeMutablePointer<UInt64>
  @usableFromInline let returnCapacity: Int
  @usableFromInline package var returnCount: Int
  @usableFromInline package var faults: FaultLog
  /// For sinks: what of their files has become safe.
  public var synced: SyncLog
  /// What the parts of the chain cost.
  public var meter = Meter()
  /// Leases held by several stages.
  @usableFromInline var shares: ClaimShares
  /// Slots to refuse whose leases are not being handled right now.
  let refusals: UnsafeMutablePointer<UInt32>
  @usableFromInline package private(set) var refusalCount = 0
  let refusalLimit: Int

  /// `holdLimit` is the most leases that stages may hold at a time: held claims come back through
  /// a list of that size. `returnLimit` is how many may come back within one batch, where that is
  /// more: where leases go to another thread, those of this batch may be back before it ends.
  /// `refusalLimit` is the most connections that ``refuse(_:slot:)`` takes in a batch.
  public init(
    area: AreaMemory, submissions: SubmissionQueue?, holdLimit: Int, returnLimit: Int = 0,
    refusalLimit: Int = 256, faultLimit: Int = 64
  ) {
    self.area = area
    self.submissions = submissions
    self.now = 0
    self.refused = false
    returnCapacity = max(holdLimit, returnLimit, 1)
    unsafe self.returns = UnsafeMutablePointer<UInt64>.allocate(capacity: returnCapacity)
    self.holdLimit = max(holdLimit, 1)
    fullHoldLimit = max(holdLimit, 1)
    self.refusalLimit = max(refusalLimit, 1)
    self.returnCount = 0
    self.faults = FaultLog(capacity: faultLimit)
    synced = SyncLog()
    self.shares = ClaimShares(leases: max(holdLimit, 1))
    unsafe refusals = UnsafeMutablePointer<UInt32>.allocate(capacity: self.refusalLimit)
  }

  deinit {
    unsafe returns.deallocate()
    unsafe refusals.deallocate()
  }

  /// The most leases that may be held at a time.
  public package(set) var holdLimit: Int
  /// Set in the index of every request of a stage's while one of two sinks prepares some; see
  /// ``tag(_:)``.
  @usableFromInline package private(set) var mark: UInt32 = 0
  /// What ``holdLimit`` is while both sinks count.
  private let fullHoldLimit: Int

  /// What a stage's request carries as its user_data: its completion comes back with `index`,
  /// which is below 2^31.
  @inlinable @inline(__always)
  public func tag(_ index: UInt32) -> UInt64 { OperationTag(.stage, index: index | mark).rawValue }

  /// What follows is one of two sinks': half of the leases are its own to hold. All that either
  /// holds and all that came back in this batch stay below that, so both together have room.
  package mutating func enterBranch(mark: UInt32) {
    self.mark = mark
    holdLimit = fullHoldLimit / 2
  }

  /// Which of two sinks is at work: 0 or 1.
  package var branch: UInt32 { mark == 0 ? 0 : 1 }

  package mutating func leaveBranches() {
    mark = 0
    holdLimit = fullHoldLimit
  }

  /// Gives a held lease back. The engine returns it to the kernel at the end of the batch, once
  /// every stage that holds it did so.
  @inlinable @inline(__always)
  public mutating func giveBack(_ held: consuming Held) {
    let offset = held.release()
    if shares.used != 0 && shares.remove(offset) { return }
    invariant(returnCount < returnCapacity, "more leases given back than may be held")
    unsafe returns[returnCount] = offset
    returnCount &+= 1
  }

  /// Gives the claim of a surrendered lease back.
  @inlinable @inline(__always)
  package mutating func release(_ offset: UInt64) {
    invariant(returnCount < returnCapacity, "more leases given back than may be held")
    unsafe returns[returnCount] = offset
    returnCount &+= 1
  }

  /// One answer of two for a lease that was split: it goes back when both are through with it.
  @inlinable @inline(__always)
  package mutating func join(_ one: consuming Verdict, _ two: consuming Verdict) -> Verdict {
    if !one.isHeld { return two }
    if !two.isHeld { return one }
    shares.add(one.offset)
    return one
  }

  @inlinable @inline(__always)
  package mutating func takeReturns(_ body: (UInt64) -> Void) {
    for index in 0..<returnCount { body(unsafe returns[index]) }
    returnCount = 0
  }

  /// Records a fault of the connection whose lease is being handled and lets its stream go on.
  public mutating func report(_ fault: Fault) { faults.append(fault) }

  /// Records a fault of any open connection and has the engine close it at the end of the batch.
  /// For failures found later than its leases: a write that failed. At most so many in a batch as
  /// `init` was told; one more is forgotten, so a stage asks again when the next of its requests
  /// fails.
  public mutating func refuse(_ fault: Fault, slot: UInt32) {
    faults.append(fault)
    guard refusalCount < refusalLimit else { return }
    unsafe refusals[refusalCount] = slot
    refusalCount += 1
  }

  @usableFromInline
  package mutating func setStreamBytes(_ bytes: UInt64) {
    streamBytes = bytes
    streamDigest = nil
  }

  /// Has the engine close a connection at the end of the batch; its fault was told elsewhere. False
  /// where no more can be listed.
  package mutating func refuse(slot: UInt32) -> Bool {
    guard refusalCount < refusalLimit else { return false }
    unsafe refusals[refusalCount] = slot
    refusalCount += 1
    return true
  }

  @usableFromInline
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
