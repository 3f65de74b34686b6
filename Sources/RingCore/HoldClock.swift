/// Which buffers stages hold leases of, and since when.
///
/// - Cost: 8 bytes for a buffer; a few instructions for a lease that is held and when it comes
///   back, none for others. ``oldest()`` looks at every buffer.
@frozen @safe
public struct HoldClock: ~Copyable {
  /// Per buffer the milliseconds, modulo 2^32, when its first lease was held, and how many are.
  @usableFromInline let since: UnsafeMutablePointer<UInt32>
  @usableFromInline let counts: UnsafeMutablePointer<UInt32>
  let layout: AreaLayout
  /// Leases held now, and bytes of all that ever were.
  public internal(set) var held: UInt64 = 0
  public internal(set) var keptBytes: UInt64 = 0

  public init(layout: AreaLayout) {
    self.layout = layout
    let count = Int(layout.bufferCount)
    unsafe since = UnsafeMutablePointer<UInt32>.allocate(capacity: count)
    unsafe counts = UnsafeMutablePointer<UInt32>.allocate(capacity: count)
    unsafe since.initialize(repeating: 0, count: count)
    unsafe counts.initialize(repeating: 0, count: count)
  }

  deinit {
    unsafe since.deallocate()
    unsafe counts.deallocate()
  }

  /// A lease is held from `now` on, in nanoseconds.
  @inline(never)
  public mutating func hold(_ offset: UInt64, length: UInt32, now: UInt64) {
    let buffer = index(offset)
    if unsafe counts[buffer] == 0 { unsafe since[buffer] = HoldClock.milliseconds(now) }
    unsafe counts[buffer] &+= 1
    held &+= 1
    keptBytes &+= UInt64(length)
  }

  /// It came back.
  @inline(never)
  public mutating func release(_ offset: UInt64) {
    let buffer = index(offset)
    invariant(unsafe counts[buffer] > 0, "a lease that came back was held")
    unsafe counts[buffer] &-= 1
    held &-= 1
  }

  /// How long the oldest buffer with held leases is held, in milliseconds; 0 where none is.
  public func oldest(now: UInt64) -> UInt64 {
    guard held > 0 else { return 0 }
    let now = HoldClock.milliseconds(now)
    var longest: UInt32 = 0
    for buffer in 0..<Int(layout.bufferCount) where unsafe counts[buffer] > 0 {
      longest = unsafe max(longest, now &- since[buffer])
    }
    return UInt64(longest)
  }

  private static func milliseconds(_ nanoseconds: UInt64) -> UInt32 {
    UInt32(truncatingIfNeeded: nanoseconds / 1_000_000)
  }

  private func index(_ offset: UInt64) -> Int {
    let buffer = layout.buffer(at: offset & AreaLayout.offsetMask)
    invariant(buffer < layout.bufferCount, "a lease lies in a buffer of the area")
    return Int(buffer)
  }
}
