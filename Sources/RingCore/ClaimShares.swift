/// Leases that several stages hold at a time: how many claims beyond the first are out on each.
///
/// An open-addressed table of fixed size; only leases with several holders are in it.
///
/// - Cost: 12 bytes per place, twice as many places as leases may be held, so that a search
///   looks at two of them in the mean; nothing for a lease with one holder.
@frozen @safe
public struct ClaimShares: ~Copyable {
  @usableFromInline let offsets: UnsafeMutablePointer<UInt64>
  @usableFromInline let counts: UnsafeMutablePointer<UInt32>
  @usableFromInline let mask: Int
  /// Leases in the table.
  @usableFromInline var used = 0

  init(leases: Int) {
    var places = 2
    while places < leases * 2 { places *= 2 }
    mask = places - 1
    unsafe offsets = UnsafeMutablePointer<UInt64>.allocate(capacity: places)
    unsafe counts = UnsafeMutablePointer<UInt32>.allocate(capacity: places)
    unsafe offsets.initialize(repeating: 0, count: places)
    unsafe counts.initialize(repeating: 0, count: places)
  }

  deinit {
    unsafe offsets.deallocate()
    unsafe counts.deallocate()
  }

  /// One holder more than before.
  @usableFromInline
  mutating func add(_ offset: UInt64) {
    let place = place(of: offset)
    if unsafe counts[place] == 0 {
      // Half of the places stay free, so that every search ends.
      invariant(used <= mask / 2, "no more leases are shared than may be held")
      unsafe offsets[place] = offset
      used += 1
    }
    unsafe counts[place] += 1
  }

  /// One holder is through with it; false when it was the last, or the only one ever.
  @usableFromInline
  mutating func remove(_ offset: UInt64) -> Bool {
    let place = place(of: offset)
    guard unsafe counts[place] > 0 else { return false }
    unsafe counts[place] -= 1
    if unsafe counts[place] == 0 { close(place) }
    return true
  }

  /// Where the offset is, or where it would go.
  private func place(of offset: UInt64) -> Int {
    var place = home(offset)
    while unsafe counts[place] > 0, unsafe offsets[place] != offset { place = (place + 1) & mask }
    return place
  }

  /// Offsets are multiples of 64 or so: the high half of a product with an odd number spreads them.
  private func home(_ offset: UInt64) -> Int {
    Int(truncatingIfNeeded: (offset &* 0x9e37_79b9_7f4a_7c15) >> 32) & mask
  }

  /// Fills the gap at `place` from behind, so that searches need no marks of what was removed.
  private mutating func close(_ place: Int) {
    used -= 1
    var gap = place
    var next = (gap + 1) & mask
    while unsafe counts[next] > 0 {
      let wanted = unsafe home(offsets[next])
      // It may move where its home is not between the gap and itself.
      if (next - wanted) & mask >= (next - gap) & mask {
        unsafe offsets[gap] = offsets[next]
        unsafe counts[gap] = counts[next]
        gap = next
      }
      next = (next + 1) & mask
    }
    unsafe counts[gap] = 0
  }
}
