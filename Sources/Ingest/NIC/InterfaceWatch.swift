import NICControl
import Synchronization

/// Follows the link of an interface that a receiver listens on and has not set up.
final class InterfaceWatch: Sendable {
  // A follower is for one thread at a time.
  private let follower: Mutex<Box>

  private struct Box: @unchecked Sendable {
    let value: NICFollower
  }

  /// Nil where the interface cannot be read; listening tells why.
  init?(_ ifname: String) {
    guard let link = try? NICAccess().link(named: ifname) else { return nil }
    follower = Mutex(Box(value: NICFollower(link)))
  }

  /// What became of the link since the last call.
  ///
  /// - Cost: two system calls.
  func news() -> [NICNews] { follower.withLock { $0.value.news() } }
}
