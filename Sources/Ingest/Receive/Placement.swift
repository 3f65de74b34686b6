import CIngestKernel

/// Which CPU each thread is pinned to.
enum Placement {
  /// The CPUs asked for, in order and around; or the allowed ones from the last one down, because
  /// the first is where most machines take their interrupts.
  static func cpus(_ wanted: [Int], threads: Int, flag: String) throws(IngestError) -> [Int32] {
    let allowed = allowedCPUs()
    let pool = wanted.isEmpty ? allowed.reversed() : wanted.map { Int32(clamping: $0) }
    guard !pool.isEmpty else { throw IngestError(.failed, "this process may run on no CPU") }
    for cpu in pool where !allowed.contains(cpu) { throw refusal(cpu, error: 22) }
    return (0..<threads).map { pool[$0 % pool.count] }
  }

  static func refusal(_ cpu: Int32, error: Int32) -> IngestError {
    let allowed = allowedCPUs().map { "\($0)" }.joined(separator: ",")
    return IngestError(
      .usage, "CPU \(cpu) is not one that this process may run on (errno \(error))",
      remedy: "allowed are \(allowed); `taskset -p $$` shows the same")
  }

  static func allowedCPUs() -> [Int32] { cpus(ofThread: 0) }

  /// The CPUs that a thread of this process may run on; 0 is the calling one.
  static func cpus(ofThread number: Int32) -> [Int32] {
    var cpus = [Int32](repeating: 0, count: 1024)
    let count = unsafe cpus.withUnsafeMutableBufferPointer { list in
      unsafe ik_thread_cpus(number, list.baseAddress!, Int32(list.count))
    }
    return Array(cpus.prefix(Int(count)))
  }
}

/// Where a thread of a receiver is to run, and where it may.
public struct ThreadPlacement: Sendable, Equatable {
  /// `thread 0`, or `the sink of thread 0`.
  public var name: String
  public var cpu: Int32
  /// Other than `cpu` alone where that went offline, or a cpuset or taskset(1) changed it.
  public var allowed: [Int32]

  public init(name: String, cpu: Int32, allowed: [Int32]) {
    self.name = name
    self.cpu = cpu
    self.allowed = allowed
  }
}

extension Receiver {
  /// Where the threads run now; those that have ended are left out.
  ///
  /// - Cost: a sched_getaffinity(2) for each.
  public func placements() -> [ThreadPlacement] {
    chainThreads().flatMap { thread -> [ThreadPlacement] in
      let all =
        [("thread \(thread.index)", thread.cpu, thread.number)]
        + thread.placed.map { ("the \($0.name) of thread \(thread.index)", $0.cpu, $0.number) }
      return all.compactMap { name, cpu, number in
        guard number != 0 else { return nil }
        let allowed = Placement.cpus(ofThread: number)
        return allowed.isEmpty ? nil : ThreadPlacement(name: name, cpu: cpu, allowed: allowed)
      }
    }
  }
}
