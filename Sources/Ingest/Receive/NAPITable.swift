import CIngestKernel
import NICControl
import Synchronization

/// The receive queues of an interface by the NAPI instances that serve them.
final class NAPITable: Sendable {
  private let ifname: String
  private let state: Mutex<State>

  private struct State: @unchecked Sendable {
    /// Open from the start: later the process may open no sockets any more. Used under the lock.
    let access: NICAccess?
    var queues: [UInt32: [UInt32]] = [:]
    var askAgainAt: UInt64 = 0
  }

  /// Between two looks at an instance that is not the interface's: loopback connections have one.
  private static let interval: UInt64 = 1_000_000_000

  init(_ ifname: String) {
    self.ifname = ifname
    state = Mutex(State(access: try? NICAccess()))
  }

  /// - Cost: a look-up; where the instance is unknown a netlink dump, at most once a second.
  func queue(of napi: UInt32) -> UInt32? {
    state.withLock { state in
      if let found = state.queues[napi] { return found.first }
      let now = ik_clock_ns()
      guard now >= state.askAgainAt else { return nil }
      state.askAgainAt = now + NAPITable.interval
      state.queues = NAPITable.read(ifname, state.access)
      return state.queues[napi]?.first
    }
  }

  private static func read(_ ifname: String, _ access: NICAccess?) -> [UInt32: [UInt32]] {
    guard let access, let link = try? access.link(named: ifname),
      let queues = try? access.queues(of: link)
    else { return [:] }
    var found: [UInt32: [UInt32]] = [:]
    for queue in queues where queue.direction == .receive {
      if let napi = queue.napi { found[napi, default: []].append(queue.number) }
    }
    return found
  }
}
