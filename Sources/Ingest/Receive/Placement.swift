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

  static func allowedCPUs() -> [Int32] {
    var cpus = [Int32](repeating: 0, count: 1024)
    let count = unsafe cpus.withUnsafeMutableBufferPointer { list in
      unsafe ik_allowed_cpus(list.baseAddress!, Int32(list.count))
    }
    return Array(cpus.prefix(Int(count)))
  }
}
