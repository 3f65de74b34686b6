import CIngestKernel
import Glibc

/// Waits for a receive queue to be let go.
///
/// The kernel releases a queue some time after its ring was closed or its process killed: the work
/// is done by a kernel thread, which restarts the queue. Binding it meanwhile gives EEXIST. There
/// is no notification, so the queue is looked at again and again.
public struct QueueWatch {
  private let read: () throws(NetlinkError) -> Queue
  private let now: () -> UInt64
  private let sleep: (UInt64) -> Void

  /// Nanoseconds between the first two looks, and the most between later ones.
  private static let firstPause: UInt64 = 5_000_000
  private static let longestPause: UInt64 = 100_000_000

  public enum Outcome: Equatable, Sendable {
    case free
    /// The time is up, or `onWait` said to stop; the queue as it was last seen.
    case taken(Queue)
  }

  /// - Parameter interface: the number of the interface, because its name may be another's by now.
  public init(_ access: NICAccess, interface: UInt32, queue: UInt32) {
    read = { () throws(NetlinkError) in try access.receiveQueue(queue, interface: interface) }
    now = { ik_clock_ns() }
    sleep = { nanoseconds in usleep(UInt32(clamping: nanoseconds / 1000)) }
  }

  /// - Parameters:
  ///   - read: looks at the queue.
  ///   - now: nanoseconds of a clock that only goes forward.
  ///   - sleep: lets that clock go on by nanoseconds.
  init(
    read: @escaping () throws(NetlinkError) -> Queue, now: @escaping () -> UInt64,
    sleep: @escaping (UInt64) -> Void
  ) {
    self.read = read
    self.now = now
    self.sleep = sleep
  }

  /// Waits until no io_uring instance has the queue. Errors are those of
  /// ``NICAccess/receiveQueue(_:interface:)``; ENOENT, an interface that is down, is one.
  ///
  /// - Parameters:
  ///   - limit: nanoseconds to wait at most; 0 looks once.
  ///   - onWait: called before each pause with the queue and the nanoseconds waited so far; false
  ///     ends the wait.
  public func waitUntilFree(
    within limit: UInt64, onWait: (Queue, UInt64) -> Bool = { _, _ in true }
  ) throws(NetlinkError) -> Outcome {
    let start = now()
    var pause = QueueWatch.firstPause
    while true {
      let queue = try read()
      guard queue.ioUring != nil else { return .free }
      let waited = now() - start
      guard waited < limit, onWait(queue, waited) else { return .taken(queue) }
      sleep(min(pause, limit - waited))
      pause = min(pause * 2, QueueWatch.longestPause)
    }
  }
}
