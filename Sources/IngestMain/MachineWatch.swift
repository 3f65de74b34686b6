import CommandSupport
import Glibc
import Ingest

/// Notices what the machine does to a run that goes on all the same: threads moved off their CPUs,
/// and connections that cannot be accepted.
struct MachineWatch {
  /// One thing to tell, with its name for programs.
  struct Note: Equatable {
    var kind: String
    var text: String
  }

  /// Seconds between two looks, and between two words about accepting.
  private static let step = 0.5
  private static let pause = 60.0

  private var lookedAt = 0.0
  private var moved: Set<String> = []
  private var failuresSeen: UInt64 = 0
  private var toldOfAcceptingAt: Double?

  /// What is new, each once.
  mutating func look(
    _ placements: @autoclosure () -> [ThreadPlacement],
    _ counters: @autoclosure () -> ReceiveCounters, now: Double
  ) -> [Note] {
    guard now - lookedAt >= MachineWatch.step else { return [] }
    lookedAt = now
    let places = placements().compactMap { placed($0) }
    return places + [accepting(counters().acceptFailures, now: now)].compactMap { $0 }
  }

  private mutating func placed(_ place: ThreadPlacement) -> Note? {
    let isHome = place.allowed == [place.cpu]
    if isHome {
      guard moved.remove(place.name) != nil else { return nil }
      return Note(kind: "moved", text: "\(place.name) is back on CPU \(place.cpu) alone")
    }
    guard moved.insert(place.name).inserted else { return nil }
    let now = place.allowed.map { "\($0)" }.joined(separator: ",")
    let cause =
      place.allowed.contains(place.cpu)
      ? "somebody has changed that (`taskset`)"
      : "that CPU is offline or not allowed any more (`lscpu -e`, the cgroup's cpuset)"
    return Note(
      kind: "moved",
      text: "\(place.name) was pinned to CPU \(place.cpu) and may now run on \(now): \(cause); "
        + "the run goes on there")
  }

  private mutating func accepting(_ failures: UInt64, now: Double) -> Note? {
    defer { failuresSeen = failures }
    guard failures > failuresSeen else { return nil }
    if let last = toldOfAcceptingAt, now - last < MachineWatch.pause { return nil }
    toldOfAcceptingAt = now
    return Note(
      kind: "accepting",
      text: "no more connections can be accepted for want of descriptors (\(descriptorLimit()) are "
        + "allowed: `ulimit -n`, LimitNOFILE=) or memory: further peers wait until some end")
  }

  /// The kernel call is `getrlimit`.
  private func descriptorLimit() -> String {
    var limit = rlimit()
    guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
      return "as many as"
    }
    return "\(limit.rlim_cur)"
  }
}
