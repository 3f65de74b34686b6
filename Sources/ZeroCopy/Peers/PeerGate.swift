import RingCore
import Synchronization

/// Who may connect, and how much of each is taken: what the engines of a receiver share.
///
/// - Cost: a look through the list for an accepted connection, and what ``PeerLedger`` says.
public final class PeerGate: Sendable {
  public struct Rules: Sendable {
    /// Networks that may connect; empty is every one.
    public var allowed: [PeerPrefix] = []
    /// Connections of one address at a time, and bytes of one address in all; 0 is any number.
    public var connections: UInt32 = 0
    public var bytes: UInt64 = 0
    /// The most connections that can be open at a time, over all engines.
    public var mostConnections = 4096

    public init() {}

    var areNone: Bool { allowed.isEmpty && connections == 0 && bytes == 0 }
  }

  /// The most addresses that are told of by name, once each; what comes after is only counted.
  public static let newsLimit = 1024

  private let allowed: [PeerPrefix]
  /// Nil where nothing is limited.
  let ledger: PeerLedger?

  private struct News: Hashable {
    var peer: PeerAddress
    var reason: TurnedAway.Reason
  }

  private let told: Mutex<Set<News>>

  /// Nil where everybody may do everything.
  public init?(_ rules: Rules) {
    if rules.areNone { return nil }
    allowed = rules.allowed
    ledger =
      rules.connections == 0 && rules.bytes == 0
      ? nil
      : PeerLedger(
        connections: rules.connections, bytes: rules.bytes, mostOpen: rules.mostConnections)
    told = Mutex(Set(minimumCapacity: PeerGate.newsLimit))
  }

  func allows(_ peer: Endpoint) -> Bool {
    if allowed.isEmpty { return true }
    let address = PeerAddress(peer)
    return allowed.contains { $0.contains(address) }
  }

  /// Whether this is the first time that the address is turned away for that reason. After
  /// ``newsLimit`` of them it always is none.
  func isNews(_ peer: Endpoint, _ reason: TurnedAway.Reason) -> Bool {
    told.withLock { told in
      guard told.count < PeerGate.newsLimit else { return false }
      return told.insert(News(peer: PeerAddress(peer), reason: reason)).inserted
    }
  }
}
