import Glibc
package import Ingest
import Stages

/// Makes room for as many descriptors as a receiver may need: raises the soft limit, up to the hard
/// one. Returns a sentence where that is not enough.
///
/// The kernel calls are `getrlimit` and `setrlimit`.
package func makeRoomForDescriptors(_ configuration: ReceiveConfiguration) -> String? {
  // A file or an outgoing connection for each one needs another descriptor; rings, listeners and
  // events some more.
  let branches = (try? SinkSpecification(configuration.sink))?.branches ?? []
  let each = 1 + rlim_t(branches.count { $0.opensDescriptors })
  let wanted = rlim_t(configuration.maxConnections) * each + 32 + rlim_t(configuration.threads) * 8
  var limit = rlimit()
  guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0,
    limit.rlim_cur < wanted
  else { return nil }
  limit.rlim_cur = min(wanted, limit.rlim_max)
  _ = unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  guard limit.rlim_cur < wanted else { return nil }
  return "\(configuration.maxConnections) connections may need \(wanted) descriptors, and "
    + "\(limit.rlim_cur) are allowed: more connections wait; raise the hard limit "
    + "(`ulimit -Hn`, LimitNOFILE=), or lower --max-connections"
}

extension SinkSpecification {
  /// Whether the sink has a descriptor open for each connection.
  fileprivate var opensDescriptors: Bool {
    switch self {
    case .file, .forward: true
    case .unix(let options): options.mode == .fd
    case .null, .stdout, .shared, .tee: false
    }
  }
}
