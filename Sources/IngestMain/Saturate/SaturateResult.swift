import CommandSupport
import Ingest

/// What people are told at the end of `ingest saturate`.
enum SaturateResult {
  static func lines(
    _ part: SaturationPart, _ receive: ReceivePart, _ format: RateFormat
  ) -> [String] {
    let finding = part.finding
    var lines = [
      "",
      "Limiter: \(finding.limiter.words) (confidence \(finding.confidence.rawValue))",
    ]
    lines += finding.reasons.map { "  because \($0)" }
    lines.append("  what helps: \(finding.limiter.remedy)")
    if receive.copiedShare >= 1 {
      lines.append("  over loopback every byte is copied, and no NIC or driver takes part")
    }
    return lines + expected(part, format) + (part.plan.map { plan($0, format) } ?? [])
  }

  private static func row(_ name: String, _ text: String) -> String {
    "  " + Units.right(name, 18) + text
  }

  /// The model beside the measurement.
  private static func expected(_ part: SaturationPart, _ format: RateFormat) -> [String] {
    func rate(_ bits: Double) -> String { Units.rate(bits, format).trimmed }
    let costs = part.costs
    guard !part.expected.ceilings.isEmpty else { return [] }
    var lines = ["", "Model, from the costs of this run"]
    // A ceiling is for a CPU that is all the thread's.
    let seen = part.evidence
    lines.append(
      row(
        "measured",
        "\(rate(part.measuredBitsPerSecond)), the receiving thread on a CPU for "
          + "\(Units.percent(seen.receiver.running)) of the time, the sender for "
          + Units.percent(seen.sender.running)))
    for (index, ceiling) in part.expected.ceilings.enumerated() {
      lines.append(
        row(
          index == 0 ? "expected first" : "then",
          "\(ceiling.limiter.words), at \(rate(ceiling.bitsPerSecond))"))
    }
    var prices = costs.parts.map { "\($0.name) \(Units.fixed($0.nanosecondsPerKiB, 1))" }
    prices += [
      "kernel \(Units.fixed(costs.kernelNanosecondsPerKiB, 1))",
      "soft interrupts \(Units.fixed(costs.softInterruptNanosecondsPerKiB, 1))",
      "sender \(Units.fixed(costs.senderNanosecondsPerKiB, 1))",
      "other \(Units.fixed(costs.otherNanosecondsPerKiB, 1))",
    ]
    lines.append(row("ns per KiB", prices.joined(separator: ", ")))
    lines.append(
      row(
        "ns per completion",
        "\(Units.fixed(costs.completionNanoseconds, 0)), and "
          + "\(Units.fixed(costs.systemCallsPerCompletion, 2)) of a system call"))
    lines.append(
      row("longest hold", "\(Units.fixed(costs.longestHoldSeconds * 1e3, 2)) ms of a lease"))
    return lines
  }

  /// What a NIC's rate asks of this host.
  private static func plan(_ plan: CapacityPlan, _ format: RateFormat) -> [String] {
    let wish = plan.wish
    let cores = plan.cores
    func cpus(_ share: Double) -> String { Units.fixed(share, 2) }
    var lines = [
      "",
      "Plan for \(Units.rate(wish.bitsPerSecond ?? 0).trimmed)"
        + (wish.mtu.map { ", MTU \($0)" } ?? "")
        + ", buffers of \(Units.exactSize(UInt64(wish.bufferBytes)))",
      row(
        "per second",
        "\(Units.count(plan.completionsPerSecond)) completions"
          + (plan.packetsPerSecond.map { ", \(Units.count($0)) packets" } ?? "")
          + ", \(Units.count(plan.recordsPerSecond)) records, "
          + "\(Units.count(plan.systemCallsPerSecond)) system calls"),
      row(
        "per completion",
        "\(Units.fixed(plan.nanosecondsPerCompletion, 0)) ns for each of "
          + plural(UInt64(max(wish.threads, 1)), "thread")),
      row(
        "cores",
        "\(cpus(cores.application)) application, \(cpus(cores.kernel)) kernel, "
          + "\(cpus(cores.softInterrupts)) soft interrupts (and \(cpus(cores.sender)) to send)"),
      row(
        "receiving threads",
        "\(plan.threadsNeeded), with headroom \(Units.fixed(wish.headroom, 2))"),
      row(
        "area",
        "\(Units.exactSize(UInt64(plan.areaBytes))) per thread "
          + "(\(wish.ringBuffers) buffers posted, rate × longest hold)"),
      row("rings", "--refill \(plan.refillEntries) --completions \(plan.completionEntries)"),
    ]
    if plan.costs.copiedShare >= 0.5 {
      lines.insert(
        row("", "(the kernel copied here; zero-copy receive does not, and takes less)"), at: 5)
    }
    for (index, ceiling) in plan.ceilings.enumerated() {
      lines.append(
        row(
          index == 0 ? "expected first" : "then",
          "\(ceiling.limiter.words), at \(Units.rate(ceiling.bitsPerSecond, format).trimmed)"
            + (ceiling.headroom.map { " (\(Units.fixed($0, 2)) of what is asked)" } ?? "")))
    }
    return lines
  }
}
