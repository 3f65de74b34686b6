import CIngestKernel
import CommandSupport
import Glibc

/// What the kernel tells of this process's threads and of all CPUs at a moment; the difference of
/// two is what happened between them.
struct HostReading: Equatable {
  /// A thread by its name. Ticks are USER_HZ, a hundredth of a second.
  struct Thread: Equatable {
    var runningNanoseconds: UInt64 = 0
    /// Runnable, but not on a CPU.
    var waitingNanoseconds: UInt64 = 0
    var userTicks: UInt64 = 0
    var systemTicks: UInt64 = 0
    /// Where it last ran.
    var cpu = 0
    /// Runnable, or running.
    var isRunnable = false
    /// The waiting that goes on: the kernel counts it once it is over.
    var pendingNanoseconds: UInt64 = 0
  }

  struct CPU: Equatable {
    var total: UInt64 = 0
    var idle: UInt64 = 0
    var softInterrupts: UInt64 = 0
    var stolen: UInt64 = 0
  }

  var nanoseconds: UInt64 = 0
  var threads: [String: Thread] = [:]
  var cpus: [Int: CPU] = [:]
  /// Runs of NET_RX over all CPUs.
  var softRuns: UInt64 = 0

  init() {}

  /// Reads /proc; what is not there counts as nothing.
  static func now() -> HostReading {
    var reading = HostReading()
    reading.nanoseconds = ik_clock_ns()
    for number in taskNumbers() {
      let folder = "/proc/self/task/\(number)/"
      guard
        let (name, thread) = HostReading.thread(
          stat: text(folder + "stat"), schedule: text(folder + "schedstat"))
      else { continue }
      reading.threads[name] = thread
    }
    reading.cpus = cpus(text("/proc/stat"))
    reading.softRuns = softRuns(text("/proc/softirqs"))
    return reading
  }

  private static func text(_ path: String) -> String { (try? readText(path)) ?? "" }

  /// Numbers of this process's threads.
  private static func taskNumbers() -> [Int] {
    guard let folder = unsafe opendir("/proc/self/task") else { return [] }
    defer { unsafe closedir(folder) }
    var numbers: [Int] = []
    while let entry = unsafe readdir(folder) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if let number = Int(name) { numbers.append(number) }
    }
    return numbers
  }
}

// What the files say; proc(5) describes them.
extension HostReading {
  /// A thread's name and times, of its stat and schedstat files.
  static func thread(stat: String, schedule: String) -> (String, Thread)? {
    // The name stands in parentheses, and may hold some.
    guard let open = stat.firstIndex(of: "("), let close = stat.lastIndex(of: ")"), open < close
    else { return nil }
    let name = String(stat[stat.index(after: open)..<close])
    let fields = stat[stat.index(after: close)...].split(separator: " ")
    // Fields are counted from 1, and the third is the first after the name.
    func field(_ number: Int) -> UInt64? {
      number - 3 < fields.count ? UInt64(fields[number - 3]) : nil
    }
    let state = fields.first
    guard let user = field(14), let system = field(15), let cpu = field(39) else { return nil }
    var thread = Thread()
    thread.userTicks = user
    thread.systemTicks = system
    thread.cpu = Int(cpu)
    thread.isRunnable = state == "R"
    let times = schedule.split { $0 == " " || $0 == "\n" }.compactMap { UInt64($0) }
    // A kernel without these times has the ticks.
    thread.runningNanoseconds = times.first ?? (user + system) * 10_000_000
    thread.waitingNanoseconds = times.count > 1 ? times[1] : 0
    return (name, thread)
  }

  /// Times of each CPU.
  static func cpus(_ text: String) -> [Int: CPU] {
    var cpus: [Int: CPU] = [:]
    for line in text.split(separator: "\n") where line.hasPrefix("cpu") {
      let fields = line.split(separator: " ")
      guard let number = Int(fields[0].dropFirst(3)) else { continue }
      let times = fields.dropFirst().compactMap { UInt64($0) }
      // user nice system idle iowait irq softirq steal; what follows is part of user.
      guard times.count >= 8 else { continue }
      cpus[number] = CPU(
        total: times[..<8].reduce(0, +), idle: times[3] + times[4], softInterrupts: times[6],
        stolen: times[7])
    }
    return cpus
  }

  static func softRuns(_ text: String) -> UInt64 {
    for line in text.split(separator: "\n") {
      let fields = line.split(separator: " ")
      guard fields.first == "NET_RX:" else { continue }
      return fields.dropFirst().compactMap { UInt64($0) }.reduce(0, +)
    }
    return 0
  }
}

// Differences, as evidence.
extension HostReading {
  /// Adds what is not counted yet: a thread that is runnable and has not got further since the last
  /// reading still waits.
  mutating func carry(from last: HostReading) {
    for (name, thread) in threads {
      guard let before = last.threads[name], thread.isRunnable,
        thread.runningNanoseconds == before.runningNanoseconds,
        thread.waitingNanoseconds == before.waitingNanoseconds
      else { continue }
      threads[name]?.pendingNanoseconds =
        before.pendingNanoseconds + (nanoseconds &- last.nanoseconds)
    }
  }

  /// The busiest thread whose name begins so, and the CPU that it ran on.
  func busiest(_ prefix: String, since old: HostReading) -> (
    thread: SaturationEvidence.Thread, cpu: SaturationEvidence.CPU
  ) {
    let span = Double(max(nanoseconds &- old.nanoseconds, 1))
    var best = (thread: SaturationEvidence.Thread(), cpu: SaturationEvidence.CPU())
    for (name, thread) in threads where name.hasPrefix(prefix) {
      let before = old.threads[name] ?? Thread()
      var found = SaturationEvidence.Thread()
      found.running = Double(thread.runningNanoseconds &- before.runningNanoseconds) / span
      let waited = thread.waitingNanoseconds &- before.waitingNanoseconds
      found.waiting =
        max(0, Double(waited + thread.pendingNanoseconds) - Double(before.pendingNanoseconds))
        / span
      found.kernelShare = ratio(
        thread.systemTicks &- before.systemTicks,
        thread.systemTicks &- before.systemTicks + (thread.userTicks &- before.userTicks))
      if found.busy >= best.thread.busy { best = (found, cpu(thread.cpu, since: old)) }
    }
    return best
  }

  /// All threads whose names begin so, as CPU seconds.
  func seconds(_ prefix: String, since old: HostReading) -> Double {
    threads.filter { $0.key.hasPrefix(prefix) }.reduce(0) { sum, entry in
      let before = old.threads[entry.key]?.runningNanoseconds ?? 0
      return sum + Double(entry.value.runningNanoseconds &- before) / 1e9
    }
  }

  func cpu(_ number: Int, since old: HostReading) -> SaturationEvidence.CPU {
    var found = SaturationEvidence.CPU()
    found.number = number
    guard let new = cpus[number], let before = old.cpus[number] else { return found }
    let total = new.total &- before.total
    found.idle = ratio(new.idle &- before.idle, total)
    found.softInterrupts = ratio(new.softInterrupts &- before.softInterrupts, total)
    found.stolen = ratio(new.stolen &- before.stolen, total)
    return found
  }

  /// The CPU with most soft interrupts.
  func softest(since old: HostReading) -> SaturationEvidence.CPU {
    cpus.keys.map { cpu($0, since: old) }.max { $0.softInterrupts < $1.softInterrupts }
      ?? SaturationEvidence.CPU()
  }

  /// Soft interrupts of all CPUs, in seconds.
  func softSeconds(since old: HostReading) -> Double {
    let span = Double(nanoseconds &- old.nanoseconds) / 1e9
    return cpus.keys.reduce(0) { $0 + cpu($1, since: old).softInterrupts * span }
  }
}
