import Glibc
import Stages

/// How many descriptors a receiver may need, and how many its process may have.
package struct DescriptorNeed: Sendable {
  /// For each connection: its socket, and a file or an outgoing connection for each sink that has
  /// one.
  package let each: Int
  /// With as many connections as may be; rings, listeners and events come on top.
  package let wanted: Int
  /// RLIMIT_NOFILE, the soft one.
  package private(set) var allowed: Int
  private let threads: Int

  package init(_ configuration: ReceiveConfiguration) {
    let branches = (try? SinkSpecification(configuration.sink))?.branches ?? []
    each = 1 + branches.count { $0.opensDescriptors }
    threads = configuration.threads
    wanted = configuration.maxConnections * each + 32 + configuration.threads * 8
    allowed = DescriptorNeed.limit.map { Int(clamping: $0.rlim_cur) } ?? .max
  }

  package var isShort: Bool { allowed < wanted }

  /// Descriptors that must be free when a connection is accepted: its own, those of connections
  /// that other threads accept at the same time, and some for files that follow others.
  var reserve: Int { min(each * threads + 4, 64) }

  /// Raises the soft limit as far as is needed and the hard one allows.
  package mutating func raise() {
    guard isShort, var limit = DescriptorNeed.limit else { return }
    limit.rlim_cur = min(rlim_t(wanted), limit.rlim_max)
    guard unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    allowed = Int(clamping: limit.rlim_cur)
  }

  private static var limit: rlimit? {
    var limit = rlimit()
    guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
      return nil
    }
    return limit
  }
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
