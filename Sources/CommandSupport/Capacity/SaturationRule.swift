/// Names what limited a run, from evidence alone.
///
/// Of a chain of parts that wait for each other, the one that limits is busy all the time; those
/// before it are held back, those after it idle. So causes are asked for in the order in which one
/// looks like another: a rate that was asked for looks like a slow link, CPU time taken by others
/// like slow code, a slow sink like a small area.
package enum SaturationRule {
  /// A thread or CPU is used up from here: the rest is what waking up and measuring takes.
  static let usedUp = 0.8
  /// Half of the time is what one thing must have to be named instead of the whole.
  static let partShare = 0.5
  /// A runnable thread without a CPU for so long is kept from its work by others. Two busy threads
  /// of an equal weight on one CPU have 0.5 each.
  static let starved = 0.4
  /// Soft interrupts of a CPU that has no idle time.
  static let softShare = 0.4
  static let noIdle = 0.15
  /// Of the receiving thread's CPU time; copying is the kernel's main part where all is copied.
  static let kernelShare = 0.6
  static let copiedShare = 0.5
  /// One receive in so many ran out of something. A pause costs a wake-up and an arming, several
  /// times a completion: from a tenth on it dominates.
  static let shortage = 0.1
  /// Leases held over buffers: an area that is held by stages is not too small by itself.
  static let held = 0.3
  /// A rate that was asked for and nearly kept.
  static let kept = 0.95
  /// Data was on its way or waiting for it for most of the time.
  static let flowBusy = 0.6
  static let windowShare = 0.4
  /// The sender waits for a receiver that has time: so much of it, and so busy at most. A receiver
  /// that is woken up for each window has much to do for few bytes.
  static let windowWaits = 0.6
  static let hasTime = 0.8
  /// A receiver that the sender waits for is the busy one even where it has a little time left.
  static let nearlyUsedUp = 0.6
  /// Of the time, a thread is within a batch and neither runs nor wants to.
  static let sleeps = 0.4
  /// Too little to tell.
  static let leastSeconds = 0.2
  static let leastBytes: UInt64 = 64 << 10

  package static func judge(_ seen: SaturationEvidence) -> SaturationFinding {
    guard seen.seconds >= leastSeconds && seen.bytes >= leastBytes else {
      return SaturationFinding(
        .unclear, .low,
        [
          "only \(Units.exactSize(seen.bytes)) came in \(Units.fixed(seen.seconds, 2)) s that were "
            + "watched"
        ])
    }
    return askedFor(seen) ?? smallWindow(seen) ?? softInterrupts(seen) ?? starvedThread(seen)
      ?? shortage(seen) ?? emptied(seen) ?? holding(seen) ?? asleep(seen) ?? part(seen) ?? thread(
        seen)
      ?? path(seen) ?? nothing(seen)
  }

  /// A rate that was asked for.
  private static func askedFor(_ seen: SaturationEvidence) -> SaturationFinding? {
    guard let asked = seen.askedRate, asked > 0, seen.bitsPerSecond >= asked * kept else {
      return nil
    }
    return SaturationFinding(
      .link, .high,
      [
        "the sender keeps to the \(Units.rate(asked).trimmed) that --bitrate asks for, and "
          + "\(Units.rate(seen.bitsPerSecond).trimmed) came"
      ])
  }

  /// Protocol work that leaves a CPU no time. On loopback it is done in the sender's name unless
  /// it was moved, so it counts where it takes more of its CPU than the threads there.
  private static func softInterrupts(_ seen: SaturationEvidence) -> SaturationFinding? {
    let cpu = seen.softCPU
    guard cpu.softInterrupts >= softShare && cpu.idle <= noIdle else { return nil }
    let isReceivers = cpu.number == seen.receiverCPU.number
    guard isReceivers || cpu.softInterrupts >= partShare else { return nil }
    var reasons = [
      "soft interrupts take \(percent(cpu.softInterrupts)) of CPU \(cpu.number), which is idle for "
        + percent(cpu.idle)
    ]
    if isReceivers { reasons.append("the receiving thread shares that CPU") }
    return SaturationFinding(
      .softInterrupts, cpu.softInterrupts >= 0.6 ? .high : .medium, reasons)
  }

  /// Work of others on the CPU of one end.
  private static func starvedThread(_ seen: SaturationEvidence) -> SaturationFinding? {
    let receives = seen.receiver.waiting >= starved
    let sends = seen.sender.waiting >= starved
    guard receives || sends else { return nil }
    func sentence(_ name: String, _ thread: SaturationEvidence.Thread) -> String {
      "\(name) ran for \(percent(thread.running)) of the time and waited for its CPU for "
        + "\(percent(thread.waiting)): other work had it"
    }
    let isReceiver = seen.receiver.waiting >= seen.sender.waiting
    let gap = abs(seen.receiver.waiting - seen.sender.waiting)
    return isReceiver
      ? SaturationFinding(
        .application, gap >= 0.3 ? .high : .low, [sentence("the receiving thread", seen.receiver)])
      : SaturationFinding(
        .sender, gap >= 0.3 ? .high : .low, [sentence("the sender", seen.sender)])
  }

  /// A chain that waits within its batches: for a disk, a reader, another host.
  private static func asleep(_ seen: SaturationEvidence) -> SaturationFinding? {
    let idle = seen.handling - seen.receiver.busy
    guard seen.handling >= partShare && idle >= sleeps else { return nil }
    // The part that is seen to take the time; where none was sampled, it is the one that can wait.
    let name = seen.slowest.flatMap { $0.share >= sleeps ? $0.name : nil } ?? "sink"
    var reasons = [
      "the receiving thread is within a batch for \(percent(seen.handling)) of the time, and busy "
        + "for \(percent(seen.receiver.busy)): the chain waits"
    ]
    if seen.sinkWaits > 0 {
      reasons.append("it waited \(plural(seen.sinkWaits, "time")) for what comes after it")
    }
    return SaturationFinding(
      .stage(name), seen.sinkWaits > 0 || idle >= 0.7 ? .high : .medium, reasons)
  }

  /// One part of the chain that has its thread to itself.
  private static func part(_ seen: SaturationEvidence) -> SaturationFinding? {
    guard let slow = seen.outstanding, slow.share >= partShare else { return nil }
    // Handling is seen by looking: the thread must be within batches for as long.
    guard slow.place != "own" || seen.handling >= partShare else { return nil }
    var reasons = [
      "\(slow.name) takes \(percent(slow.share)) of the time of "
        + (slow.place == "own" ? "the receiving thread" : "its thread (\(slow.place))")
    ]
    if seen.sinkWaits > 0 {
      reasons.append("the chain waited \(plural(seen.sinkWaits, "time")) for what comes after it")
    }
    if seen.flow.window >= windowShare {
      reasons.append("the sender waited for the receiver's window for \(percent(seen.flow.window))")
    }
    return SaturationFinding(
      .stage(slow.name), slow.share >= usedUp ? .high : .medium, reasons)
  }

  /// A thread without idle time. Where both ends are busy, TCP's clocks tell who waits for whom.
  private static func thread(_ seen: SaturationEvidence) -> SaturationFinding? {
    let isWaitedFor = seen.flow.window >= windowShare
    let receives =
      seen.receiver.busy >= usedUp || isWaitedFor && seen.receiver.busy >= nearlyUsedUp
    let sends = seen.sender.busy >= usedUp && !isWaitedFor
    guard receives || sends else { return nil }
    let isReceiver =
      receives && (!sends || seen.flow.window >= 0.1 || seen.receiver.busy >= seen.sender.busy)
    let both = receives && sends
    if !isReceiver {
      return SaturationFinding(
        .sender, both ? .low : seen.receiver.busy < partShare ? .high : .medium,
        [
          "the sender is busy for \(percent(seen.sender.busy)) of the time, the receiving thread "
            + "for \(percent(seen.receiver.busy))"
        ])
    }
    let busy =
      "the receiving thread is busy for \(percent(seen.receiver.busy)) of the time, the sender for "
      + percent(seen.sender.busy)
    let sure: SaturationFinding.Confidence = both ? .low : .medium
    let kernel = seen.receiver.kernelShare
    if kernel >= kernelShare && seen.copiedShare >= copiedShare {
      return SaturationFinding(
        .copies, both ? .medium : .high,
        [
          busy,
          "\(percent(kernel)) of its CPU time is the kernel's, which copied "
            + "\(percent(seen.copiedShare)) of the bytes",
        ])
    }
    if let slow = seen.outstanding, slow.share >= 0.4 {
      return SaturationFinding(
        .stage(slow.name), sure, [busy, "\(slow.name) has \(percent(slow.share)) of it"])
    }
    return SaturationFinding(
      .application, sure,
      [busy, "no part stands out: the kernel has \(percent(kernel)) of its CPU time"])
  }

  /// Both ends have time left, and data is waiting all the same.
  private static func path(_ seen: SaturationEvidence) -> SaturationFinding? {
    let flow = seen.flow
    guard flow.busy >= flowBusy else { return nil }
    let idle =
      "the sender is busy for \(percent(seen.sender.busy)), the receiving thread for "
      + percent(seen.receiver.busy)
    // A window that closes is the receiver's, not the path's.
    guard flow.window < windowShare else { return nil }
    var reasons = [
      "data was under way or waiting for the path for \(percent(flow.busy)) of the time", idle,
    ]
    if flow.retransmits > 0 {
      reasons.append("\(plural(flow.retransmits, "segment")) had to be sent again")
    }
    return SaturationFinding(
      .link, max(seen.sender.busy, seen.receiver.busy) < partShare ? .high : .medium, reasons)
  }

  /// The nearest to its limit, which is not near.
  private static func nothing(_ seen: SaturationEvidence) -> SaturationFinding {
    let sender = seen.sender.busy
    let receiver = seen.receiver.busy
    let text =
      "nothing was used up: the sender was busy for \(percent(sender)) of the time, the receiving "
      + "thread for \(percent(receiver)), and \(percent(seen.flow.busy)) of it data was under way"
    guard max(sender, receiver) >= partShare else {
      return SaturationFinding(.unclear, .low, [text])
    }
    if sender >= receiver { return SaturationFinding(.sender, .low, [text]) }
    let copies = seen.receiver.kernelShare >= kernelShare && seen.copiedShare >= copiedShare
    return SaturationFinding(copies ? .copies : .application, .low, [text])
  }

  static func percent(_ share: Double) -> String {
    "\(Units.fixed(share * 100, 0)) %"
  }
}
