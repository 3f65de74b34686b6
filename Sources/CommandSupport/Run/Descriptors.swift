import Glibc
package import Ingest

/// Makes room for as many descriptors as a receiver may need: raises the soft limit, up to the hard
/// one. Returns a sentence where that is not enough.
///
/// The kernel calls are `getrlimit` and `setrlimit`.
package func makeRoomForDescriptors(_ configuration: ReceiveConfiguration) -> String? {
  // A file for each connection needs a second descriptor; rings, listeners and events some more.
  let each: rlim_t = configuration.sink.hasPrefix("file:") ? 2 : 1
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
