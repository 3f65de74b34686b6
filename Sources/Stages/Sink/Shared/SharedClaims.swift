import RingCore

/// Claims that a consumer process has, each known to it by a number that is good once: the place in
/// this table, and how often that place was used.
///
/// - Cost: 40 bytes per claim, allocated at the start.
@safe
struct SharedClaims: ~Copyable {
  /// What a claim carries.
  struct Content: BitwiseCopyable, Equatable {
    var records: UInt64 = 0
    var bytes: UInt64 = 0

    static func += (sum: inout Content, other: Content) {
      sum.records += other.records
      sum.bytes += other.bytes
    }
  }

  private struct Claim: BitwiseCopyable {
    var use: UInt32 = 0
    var state = State.free
    var records: UInt32 = 0
    var bytes: UInt32 = 0
  }

  private enum State: UInt8 {
    case free
    /// Its lease is held in the place beside it.
    case held
    /// Its lease is in the hands of whoever waits for it.
    case lent
  }

  private var claims: SlotPool<Claim>
  /// Places whose state is `held` are initialized.
  private let leases: UnsafeMutablePointer<Held>
  private(set) var heldCount = 0
  private(set) var lentCount = 0
  /// What all claims carry that are out.
  private(set) var content = Content()

  /// `capacity` counts held claims; one more may be lent.
  init(capacity: Int) {
    claims = SlotPool(capacity: capacity + 1, repeating: Claim())
    unsafe leases = UnsafeMutablePointer<Held>.allocate(capacity: capacity + 1)
  }

  /// Claims that are still out when a run was aborted go with the engine's ring.
  deinit { unsafe leases.deallocate() }

  var count: Int { heldCount + lentCount }
  /// Most claims at a time.
  var capacity: Int { claims.capacity }

  /// Whether one more lease may be held: every one may come back within this batch, after those
  /// that already did.
  func mayHold(in batch: borrowing Batch) -> Bool {
    heldCount + batch.returnCount < min(batch.holdLimit, claims.capacity - 1)
  }

  /// A number for a lease that is held from now on.
  mutating func keep(
    _ lease: consuming Lease, _ content: Content, number: inout UInt64
  ) -> Verdict {
    let index = place(.held, content)
    number = self.number(of: index)
    var claim: Held?
    let verdict = lease.keep(into: &claim)
    // The place was free, so nothing is overwritten; the pool says that the index is inside.
    if let claim = claim.take() { unsafe (leases + Int(index)).initialize(to: claim) }
    return verdict
  }

  /// A number for a lease that is not held: its bytes stay until the caller is through with it.
  mutating func lend(_ content: Content) -> UInt64 {
    invariant(lentCount == 0, "one lease at a time is in hand")
    return number(of: place(.lent, content))
  }

  private mutating func place(_ state: State, _ content: Content) -> UInt32 {
    guard let index = claims.take() else {
      // Held ones are limited, and one is lent at most.
      invariant(false, "there is a place for every claim")
      return 0
    }
    self.content += content
    claims[index].state = state
    claims[index].records = UInt32(truncatingIfNeeded: content.records)
    claims[index].bytes = UInt32(truncatingIfNeeded: content.bytes)
    if state == .held { heldCount += 1 } else { lentCount += 1 }
    return index
  }

  private func number(of index: UInt32) -> UInt64 {
    UInt64(claims[index].use) << 32 | UInt64(index)
  }

  /// Takes a claim back; nil when no such claim is out, whatever the number is.
  mutating func giveBack(_ number: UInt64, in batch: inout Batch) -> Content? {
    let index = UInt32(truncatingIfNeeded: number)
    guard Int(index) < claims.capacity, claims[index].state != .free,
      claims[index].use == UInt32(truncatingIfNeeded: number >> 32)
    else { return nil }
    return release(index, in: &batch)
  }

  /// Takes everything back that is out.
  mutating func giveBackAll(in batch: inout Batch) -> Content {
    var all = Content()
    guard count > 0 else { return all }
    for index in 0..<UInt32(claims.capacity) where claims[index].state != .free {
      all += release(index, in: &batch)
    }
    return all
  }

  private mutating func release(_ index: UInt32, in batch: inout Batch) -> Content {
    let claim = claims[index]
    if claim.state == .held {
      heldCount -= 1
      batch.giveBack(unsafe (leases + Int(index)).move())
    } else {
      lentCount -= 1
    }
    content.records &-= UInt64(claim.records)
    content.bytes &-= UInt64(claim.bytes)
    claims[index].state = .free
    // 2^32 uses of one place: a number that comes again by then was kept for hours, and then takes
    // back a claim that is out, which is the same consumer's.
    claims[index].use &+= 1
    claims.give(index)
    return Content(records: UInt64(claim.records), bytes: UInt64(claim.bytes))
  }
}
