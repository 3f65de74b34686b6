/// Finds out on the run's own first sends whether zero-copy pays: epochs of a few hundred sends
/// each way, in an order that cancels a drift, compared by the thread's CPU time per byte.
///
/// A path whose zero-copy sends are all reported copied (loopback, veth, a device without
/// scatter-gather) is not measured further: the copy is made all the same, elsewhere.
struct SendTrial {
  /// What the trial decided and what it saw.
  struct Outcome: Equatable {
    var zeroCopy: Bool
    /// Every zero-copy send was copied by the kernel.
    var allCopied: Bool
    /// Nanoseconds of CPU time for 1000 bytes, when measured.
    var plain: UInt64
    var zeroCopyCost: UInt64
  }

  static let epochSends: UInt64 = 512
  /// An epoch of a slow path ends after this long (nanoseconds), if it held some sends.
  static let epochTime: UInt64 = 20_000_000
  static let fewestSends: UInt64 = 16
  /// Notifications that must all say "copied" before the path counts as copying.
  static let copiedEvidence: UInt64 = 32
  /// Which way each epoch sends (bit = zero-copy). The first two warm up.
  static let order: UInt32 = 0b01_1001_1001_10
  static let epochs = 12

  private(set) var epoch = 0
  private(set) var outcome: Outcome?
  private var started: UInt64 = 0
  private var startCPU: UInt64 = 0
  private var startTally = SendTally()
  private var best: [2 of UInt64] = [.max, .max]

  var zeroCopyNow: Bool { SendTrial.order >> UInt32(epoch) & 1 == 1 }

  /// Starts the first epoch.
  mutating func begin(now: UInt64, cpu: UInt64) {
    started = now
    startCPU = cpu
  }

  /// Whether the epoch is over, so that the CPU clock (a system call) is read only then.
  func epochIsOver(_ tally: SendTally, now: UInt64) -> Bool {
    let sends = tally.sends &- startTally.sends
    return sends >= SendTrial.epochSends
      || (sends >= SendTrial.fewestSends && now &- started >= SendTrial.epochTime)
  }

  /// Closes an epoch and opens the next, or decides.
  mutating func closeEpoch(_ tally: SendTally, now: UInt64, cpu: UInt64) {
    if tally.notifications >= SendTrial.copiedEvidence,
      tally.copiedSends == tally.notifications
    {
      outcome = Outcome(zeroCopy: false, allCopied: true, plain: 0, zeroCopyCost: 0)
      return
    }
    let bytes = max(tally.bytes &- startTally.bytes, 1)
    let spent = (cpu &- startCPU) &* 1000 / bytes
    let way = zeroCopyNow ? 1 : 0
    // The least of several is the one that neighbours and interrupts disturbed least.
    if epoch >= 2 { best[way] = min(best[way], spent) }
    epoch += 1
    started = now
    startCPU = cpu
    startTally = tally
    guard epoch == SendTrial.epochs else { return }
    outcome = Outcome(
      zeroCopy: best[1] < best[0], allCopied: false, plain: best[0], zeroCopyCost: best[1])
  }
}
