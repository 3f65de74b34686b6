import RingCore
import Synchronization

/// Where a chain goes from one thread to the next: a queue of ``Item``s there, a queue of
/// ``Return``s back, and a doorbell for each side.
///
/// Memory, fixed at start: 72 B x `capacity` for the items; for the returns 24 B for each lease
/// that may be out and each connection, rounded up to a power of two, so that this queue is never
/// full and nobody waits for it.
public final class Crossing: Sendable {
  let items: SPSCRing<Item>
  let returns: SPSCRing<Return>
  /// Wakes the thread that takes items, and the one that takes what comes back.
  public let there: Doorbell
  public let back: Doorbell
  /// The most leases that may be out.
  public let limit: Int
  public let maxConnections: Int
  /// A quarter of the leases that may be out at best. An owner that sleeps while so many are out
  /// wants to be woken; it is when so many came back, and when nothing more is to be done.
  let quarter: Int
  private let isAborted: @Sendable () -> Bool
  private let isGone = Atomic<Bool>(false)

  /// - Parameters:
  ///   - capacity: items that fit, a power of two from 2 up. A smaller queue has the first thread
  ///     wait more often.
  ///   - limit: leases that may be out at a time.
  ///   - buffers: of the area.
  ///   - isAborted: whether the run is to end at once; asked for while waiting.
  public init(
    capacity: Int, limit: Int, buffers: Int, maxConnections: Int, there: Doorbell, back: Doorbell,
    isAborted: @escaping @Sendable () -> Bool
  ) {
    var places = 2
    while places < limit + maxConnections + 1 { places *= 2 }
    items = SPSCRing(capacity: capacity)
    returns = SPSCRing(capacity: places)
    self.there = there
    self.back = back
    self.limit = limit
    self.maxConnections = maxConnections
    quarter = max(1, min(limit, buffers) / 4)
    self.isAborted = isAborted
  }

  /// Items under way, as seen from outside: exact when neither side moves.
  public var itemCount: Int { items.count }

  /// Whether waiting for the other side is of no use any more.
  var isOver: Bool { isAborted() || isGone.load(ordering: .acquiring) }

  /// The thread that takes items has ended, whatever was in the queue.
  public func end() { isGone.store(true, ordering: .releasing) }
}
