import Glibc

/// A process that may have a queue bound. The kernel does not tell which one has it; this is what
/// the open descriptors of processes make likely.
public struct QueueOwner: Equatable, Sendable {
  public let process: Int32
  /// The name of its program, at most 15 characters.
  public let command: String
  public let evidence: Evidence
  /// KiB that the process has pinned for devices (VmPin): areas and registered buffers.
  public let pinnedKiB: UInt64

  public enum Evidence: Equatable, Sendable {
    /// A descriptor of a queue that was exported for other rings: it keeps the queue bound.
    case exportedQueue
    /// An io_uring.
    case ring
  }

  /// The other processes that may have a queue bound, the most likely first. Without privilege only
  /// the user's own can be looked at; a ring whose descriptor was closed after it was registered is
  /// not seen.
  ///
  /// - Cost: reads a link per open descriptor of every process.
  public static func candidates() -> [QueueOwner] {
    candidates(besides: getpid(), root: "/proc")
  }

  static func candidates(besides own: Int32, root: String) -> [QueueOwner] {
    let found = SystemFiles.names(in: root).compactMap { name -> QueueOwner? in
      guard let process = Int32(name), process != own else { return nil }
      return candidate(process, directory: "\(root)/\(name)")
    }
    return found.sorted { one, other in
      if one.evidence != other.evidence { return one.evidence == .exportedQueue }
      if one.pinnedKiB != other.pinnedKiB { return one.pinnedKiB > other.pinnedKiB }
      return one.process < other.process
    }
  }

  private static func candidate(_ process: Int32, directory: String) -> QueueOwner? {
    let descriptors = directory + "/fd"
    var evidence: Evidence?
    for name in SystemFiles.names(in: descriptors) {
      let target = SystemFiles.target(of: "\(descriptors)/\(name)")
      if target == "anon_inode:[io_uring]" { evidence = evidence ?? .ring }
      if target == "anon_inode:[zcrx]" { evidence = .exportedQueue }
    }
    guard let evidence else { return nil }
    let status = SystemFiles.text(directory + "/status") ?? ""
    let command = SystemFiles.field("Name", in: status) ?? "?"
    let pinned = SystemFiles.field("VmPin", in: status)?.prefix { $0 != " " }
    return QueueOwner(
      process: process, command: String(command), evidence: evidence,
      pinnedKiB: pinned.flatMap { UInt64($0) } ?? 0)
  }
}
