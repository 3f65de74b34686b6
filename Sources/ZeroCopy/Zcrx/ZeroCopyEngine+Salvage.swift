import Glibc
public import RingCore

/// Buffers that no device knows, for bytes that zero-copy receive cannot deliver: what the NIC left
/// in the linear part of a packet needs a buffer to be copied into, which a dmabuf never is, and of
/// which an area full of unread packets has none.
@frozen
@usableFromInline
struct SalvageReserve {
  /// Where the first one is, and which are free, a bit for each.
  private let start: UInt64
  private let layout: AreaLayout
  private let count: Int
  private var free: UInt64

  /// As many as are kept; each holds what one receive brings.
  static let wanted = 4
  /// How long stages may hold all of them while a receive needs one, and how long one may find no
  /// buffer at all, in nanoseconds.
  static let patience: UInt64 = 10_000_000_000
  /// Between the ends of two streams for want of a buffer: what lay in the socket of the first may
  /// be what the second needs.
  static let endInterval: UInt64 = 250_000_000

  /// The buffers behind `layout`, of which there are `count`.
  init(behind layout: AreaLayout, count: Int) {
    self.layout = layout
    self.count = min(count, SalvageReserve.wanted)
    start = UInt64(layout.byteCount)
    free = (1 << UInt64(self.count)) - 1
  }

  /// Whether there is one at all, and stages hold every one.
  var isExhausted: Bool { count > 0 && free == 0 }

  /// The offset of a free one.
  mutating func take() -> UInt64? {
    guard free != 0 else { return nil }
    let index = free.trailingZeroBitCount
    free &= free - 1
    return start + UInt64(index) * UInt64(layout.bufferSize)
  }

  @usableFromInline
  mutating func give(_ offset: UInt64) {
    let index = ((offset & AreaLayout.offsetMask) - start) / UInt64(layout.bufferSize)
    invariant(
      index < UInt64(count) && free & (1 << index) == 0, "a buffer of the reserve was out")
    free |= 1 << index
  }
}

// Once per receive that ended for want of something to copy into.
extension ZeroCopyEngine {
  /// Receives by recv(2) what zero-copy receive could not deliver, in its place in the stream:
  /// packets that lie wholly in readable memory, up to the next one that the NIC placed. False
  /// where there is nothing of the kind, or no buffer for it.
  ///
  /// An area that takes copies is first given time to get buffers back. Where stages hold all of
  /// the reserve, the receive waits until they give one back.
  ///
  /// - Cost: one recv(2); the bytes are copied.
  @inlinable @inline(never)
  mutating func salvage<S: Stage & ~Copyable>(
    _ slot: UInt32, result: Int32, _ stage: inout S
  ) -> Bool {
    guard let (offset, length) = receiveReserved(slot, result) else {
      return waitForReserve(slot, result)
    }
    reserveEmptySince = 0
    if length == 0 {
      reserve.give(offset)
      core.receiveEnded(slot)
      return true
    }
    let verdict = stage.take(
      Lease(offset: offset, length: length, connection: slot), in: &core.batch)
    if let released = verdict.take() {
      reserve.give(released)
    } else {
      core.holds.hold(offset, length: length, now: core.batch.now)
    }
    if core.batch.refused { core.refuse(slot) }
    core.receiveEnded(slot)
    if core.table[slot].state == .draining { core.drained(slot) }
    return true
  }

  @usableFromInline
  mutating func receiveReserved(
    _ slot: UInt32, _ result: Int32
  ) -> (offset: UInt64, length: UInt32)? {
    guard result == -ENOMEM, core.table[slot].state.isWanted, !area.takesCopies || isStarved,
      let offset = reserve.take()
    else { return nil }
    let result = unsafe core.ring.receiveNow(
      core.table[slot].descriptor, unsafeInto: core.batch.area.address(of: offset),
      Int(area.layout.bufferSize))
    guard result > 0 else {
      reserve.give(offset)
      return nil
    }
    let bytes = UInt64(result)
    core.counters.bytes &+= bytes
    core.counters.salvagedBytes &+= bytes
    core.counters.salvages &+= 1
    guard core.table[slot].flow.takesAll else {
      // Of metered bytes perhaps not all, or none.
      let excess = core.excess(slot, UInt32(result))
      let length = core.wantedPart(of: UInt32(result), behind: 0, excess: excess)
      if length != 0 { core.counters.leases &+= 1 }
      return (offset, length)
    }
    core.counters.leases &+= 1
    core.table[slot].bytes &+= bytes
    return (offset, UInt32(result))
  }

  /// Nothing else takes what a dmabuf cannot. But a stage may hold the reserve for what is still to
  /// come, such as the rest of a record: that is not waited for without end.
  @usableFromInline
  mutating func waitForReserve(_ slot: UInt32, _ result: Int32) -> Bool {
    guard result == -ENOMEM, core.table[slot].state.isWanted, !area.takesCopies,
      reserve.isExhausted
    else { return false }
    if reserveEmptySince == 0 { reserveEmptySince = core.batch.now }
    guard core.batch.now &- reserveEmptySince < SalvageReserve.patience else { return false }
    waitsForReserve = true
    pauseForBuffers(slot)
    return true
  }

  /// Whether a connection has waited long enough for a buffer to copy into. Of packets that lie in
  /// fragments of another queue as well recv(2) gives nothing (net/ipv4/tcp.c, tcp_recvmsg_locked:
  /// EFAULT); and where the NIC's rings are as large as the area, every buffer that comes back is
  /// theirs again, so that waiting has no end.
  ///
  /// Time in which stages here have buffers does not count; on a shared area none does, for the
  /// stages of other threads may.
  mutating func hasStarved(_ slot: UInt32) -> Bool {
    let entry = core.table[slot]
    let waits = core.holds.held == 0 && area.lock == nil
    guard waits, entry.starvedSince != 0, entry.starvedAt == entry.bytes else {
      core.table[slot].starvedSince = waits ? core.batch.now : 0
      core.table[slot].starvedAt = entry.bytes
      return false
    }
    return core.batch.now &- entry.starvedSince >= SalvageReserve.patience
  }
}
