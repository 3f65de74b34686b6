import CIngestKernel
public import Synchronization

/// How other threads speak to an engine: stop requests, and totals that limits are held against.
/// Shared by all engines of a receiver; each registers the descriptor that wakes it.
public final class EngineControl: Sendable {
  /// What the owner of a run asked for last.
  public enum Request: UInt32, Sendable {
    case run = 0
    /// Take what has been received already, finish the sink, then end.
    case stop = 1
    /// End now; what is in flight is lost.
    case abort = 2
  }

  /// When a run ends by itself; 0 never.
  public struct Limits: Sendable, Equatable {
    /// CLOCK_MONOTONIC nanoseconds.
    public var deadline: UInt64 = 0
    public var bytes: UInt64 = 0
    public var connections: UInt64 = 0
    /// Connections that may be open at a time, over all engines; one more ends no run, it is turned
    /// away. 0 is as many as each engine has room for.
    public var openConnections: Int = 0

    public init() {}

    @inlinable var countsAnything: Bool { bytes != 0 || connections != 0 }
  }

  public let limits: Limits
  @usableFromInline let request = Atomic<UInt32>(0)
  @usableFromInline let totalBytes = Atomic<UInt64>(0)
  @usableFromInline let totalClosed = Atomic<UInt64>(0)
  private let openConnections = Atomic<Int>(0)
  let wakers: Mutex<[Int32]> = Mutex([])

  public init(limits: Limits = Limits()) { self.limits = limits }

  /// Asks every engine to stop or to abort; a weaker request never replaces a stronger one.
  public func ask(_ wanted: Request) {
    // Release: what the caller did before is visible to the engine that sees the request.
    let before = request.max(wanted.rawValue, ordering: .releasing).oldValue
    // Engines that were told need no second word: a limit stays reached in every later batch.
    guard before < wanted.rawValue else { return }
    wakers.withLock { list in for descriptor in list { ik_event_signal(descriptor) } }
  }

  /// Acquire pairs with the release in ``ask(_:)``.
  @inlinable public var current: UInt32 { request.load(ordering: .acquiring) }

  /// Whether as many bytes or connections have come as were wanted.
  public var isServed: Bool {
    let bytes = totalBytes.load(ordering: .relaxed)
    let closed = totalClosed.load(ordering: .relaxed)
    return limits.bytes != 0 && bytes >= limits.bytes
      || limits.connections != 0 && closed >= limits.connections
  }

  /// Whether one more connection may be open; if so it is counted until ``leave()``. Relaxed:
  /// nothing but the number passes between the threads.
  func enter() -> Bool {
    guard limits.openConnections != 0 else { return true }
    let now = openConnections.wrappingAdd(1, ordering: .relaxed).newValue
    if now <= limits.openConnections { return true }
    leave()
    return false
  }

  func leave() {
    guard limits.openConnections != 0 else { return }
    openConnections.wrappingSubtract(1, ordering: .relaxed)
  }

  /// An engine made after a request is woken at once: another one may have reached a limit first.
  func register(waker descriptor: Int32) {
    wakers.withLock { $0.append(descriptor) }
    if current != Request.run.rawValue { ik_event_signal(descriptor) }
  }

  func unregister(waker descriptor: Int32) {
    wakers.withLock { list in list.removeAll { $0 == descriptor } }
  }

  /// Adds a batch's work to the totals; asks for a stop when a limit is reached.
  @usableFromInline
  func count(bytes: UInt64, closed: UInt64) {
    let all = totalBytes.wrappingAdd(bytes, ordering: .relaxed).newValue
    let ended = totalClosed.wrappingAdd(closed, ordering: .relaxed).newValue
    let full = limits.bytes != 0 && all >= limits.bytes
    let served = limits.connections != 0 && ended >= limits.connections
    if full || served { ask(.stop) }
  }
}
