public import RingCore

extension SendPool {
  /// The slots by value, for a loop that takes or gives back several. Between getting and setting
  /// it nothing else may do so.
  @inlinable @inline(__always)
  var view: View {
    get { unsafe View(slots: slots, free: free, available: available) }
    set { available = newValue.available }
  }

  @frozen @safe @usableFromInline
  struct View {
    @usableFromInline let slots: UnsafeMutablePointer<SendSlot>
    @usableFromInline let free: UnsafeMutablePointer<UInt32>
    @usableFromInline var available: Int

    @inlinable @inline(__always)
    init(
      slots: UnsafeMutablePointer<SendSlot>, free: UnsafeMutablePointer<UInt32>, available: Int
    ) {
      unsafe self.slots = slots
      unsafe self.free = free
      self.available = available
    }

    /// ``SendPool/take()`` where there is one; the taker sets its state.
    @inlinable @inline(__always)
    mutating func pop() -> UInt32 {
      available &-= 1
      let slot = unsafe free[available]
      invariant(
        unsafe slots[Int(slot)].standing == SendStanding(.free),
        "a send slot is used again before the kernel has let go of it")
      return slot
    }

    /// Gives back a slot that is as ``SendPool/take()`` wants a free one.
    @inlinable @inline(__always)
    mutating func push(_ slot: UInt32) {
      unsafe slots[Int(slot)].standing = SendStanding(.free)
      unsafe free[available] = slot
      available &+= 1
    }
  }
}
