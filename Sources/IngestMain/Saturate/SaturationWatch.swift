import CommandSupport
import Ingest
import ZeroCopy

/// Watches both ends while bytes move, and says at the end what limited them.
///
/// Counters, clocks and threads are read ten times a second, because threads and sockets are gone
/// at the end: the window lies between the first reading after the start and the last. Whether the
/// receiving thread is within a batch is looked at with every step of the session.
final class SaturationWatch {
  private struct Reading {
    var now: Double
    var host: HostReading
    var receive: ReceiveCounters
    var flow: SendFlow
    var meters: StageMeters
    /// Seconds that threads with later parts of the chain have worked, by thread and name.
    var placesBusy: [String: Double]
  }

  private static let step = 0.1
  /// Slow start and first touches of memory are not what limits.
  private let warmUp: Double
  private let nic: CapacityWish?
  private var first: Reading?
  private var last: Reading?
  private var isWarm = false
  private var looks = 0
  private var looksWithin = 0
  private var heldSum = 0.0
  private var longestHold = 0.0

  /// `seconds` is how long the run is to take, where that is known.
  init(seconds: Double, nic: CapacityWish?) {
    warmUp = seconds > 0 ? min(0.5, seconds / 5) : 0.2
    self.nic = nic
  }

  /// Called with every step of the session.
  func look(_ receiver: Receiver, _ sender: Sender, now: Double) {
    guard !sender.isFinished else { return }
    if !isWarm {
      isWarm = now >= warmUp
      // A run that is over before it is warm is better than none.
      if first == nil || isWarm { first = read(receiver, sender, now) }
      last = first
      return
    }
    let loads = receiver.loads()
    looks += 1
    if loads.contains(where: { $0.handlingSeconds > 0 }) { looksWithin += 1 }
    heldSum += Double(loads.reduce(0) { $0 + $1.heldLeases })
    for load in loads {
      longestHold = max(longestHold, load.oldestHoldSeconds, load.handlingSeconds)
    }
    if now - (last?.now ?? 0) >= SaturationWatch.step { last = read(receiver, sender, now) }
  }

  private func read(_ receiver: Receiver, _ sender: Sender, _ now: Double) -> Reading {
    var busy: [String: Double] = [:]
    for load in receiver.loads() {
      for place in load.places { busy["\(load.thread)/\(place.name)"] = place.busySeconds }
    }
    var host = HostReading.now()
    if let last { host.carry(from: last.host) }
    return Reading(
      now: now, host: host, receive: receiver.snapshot(), flow: sender.flow(),
      meters: receiver.meters(), placesBusy: busy)
  }

  /// The finding, with what it stands on and what the model says.
  func conclude(_ receive: ReceiveConfiguration, _ send: SendConfiguration) -> SaturationPart {
    let seen = evidence(receive, send)
    let costs = costs(seen, receive)
    var here = CapacityWish()
    here.bufferBytes = receive.copyBuffer
    here.recordBytes = send.recordMaximum == 0 ? send.length : send.recordMaximum
    here.threads = receive.threads
    here.senderThreads = send.threads
    here.ringBuffers = 0
    here.areaBytes = receive.copyArea
    let plan = nic.map { nic -> CapacityPlan in
      var wish = nic
      wish.recordBytes = here.recordBytes
      wish.threads = receive.threads
      wish.senderThreads = send.threads
      wish.areaBytes = receive.area > 0 ? receive.area : nil
      return CapacityPlan(wish, costs)
    }
    return SaturationPart(
      finding: SaturationRule.judge(seen), evidence: seen, costs: costs,
      expected: CapacityPlan(here, costs), plan: plan)
  }

  /// Bytes of a lease that is about a buffer of a NIC.
  private static let shortLease = 16384.0

  private func evidence(
    _ receive: ReceiveConfiguration, _ send: SendConfiguration
  ) -> SaturationEvidence {
    var seen = SaturationEvidence()
    guard let first, let last else { return seen }
    let (old, new) = (first.receive, last.receive)
    seen.seconds = last.now - first.now
    seen.bytes = new.bytes &- old.bytes
    (seen.sender, seen.senderCPU) = last.host.busiest("send-", since: first.host)
    (seen.receiver, seen.receiverCPU) = last.host.busiest("ingest-", since: first.host)
    seen.softCPU = last.host.softest(since: first.host)
    let span = max(seen.seconds, 1e-9)
    seen.softRunsPerSecond = Double(last.host.softRuns &- first.host.softRuns) / span
    seen.handling = looks > 0 ? Double(looksWithin) / Double(looks) : 0
    seen.parts = parts(seen, from: first, to: last)
    let streams = Double(max(last.flow.streams, 1)) * span
    seen.flow.busy = (last.flow.busySeconds - first.flow.busySeconds) / streams
    seen.flow.window = (last.flow.windowSeconds - first.flow.windowSeconds) / streams
    seen.flow.buffer = (last.flow.bufferSeconds - first.flow.bufferSeconds) / streams
    seen.flow.retransmits = last.flow.retransmits &- first.flow.retransmits
    seen.flow.roundTripSeconds = last.flow.roundTripSeconds
    seen.ring.completions = new.completions &- old.completions
    seen.ring.pauses = new.pauses &- old.pauses
    seen.ring.noBuffers = new.noBuffers &- old.noBuffers
    seen.ring.completionsFull = new.completionsFull &- old.completionsFull
    seen.ring.refillFlushes = new.refillFlushes &- old.refillFlushes
    seen.ring.buffers = max(receive.copyArea / receive.copyBuffer, 1) * receive.threads
    seen.ring.heldShare =
      looks > 0 ? min(1, heldSum / Double(looks) / Double(seen.ring.buffers)) : 0
    seen.ring.freeLow = new.freeBuffersLow
    seen.sinkWaits = new.sinkWaits &- old.sinkWaits
    seen.copiedShare = min(1, ratio(new.copiedBytes &- old.copiedBytes, seen.bytes))
    seen.askedRate = send.bitrate > 0 ? Double(send.bitrate) : nil
    seen.socketBuffer = receive.socketBuffer
    return seen
  }

  /// Shares of the window: of a batch's time on the receiving thread, of their working time on
  /// others.
  private func parts(
    _ seen: SaturationEvidence, from first: Reading, to last: Reading
  ) -> [SaturationEvidence.Part] {
    // A chain that gets through fewer batches than are sampled has the prices of the whole run.
    let recent = last.meters.prices(since: first.meters)
    let prices = recent.isEmpty ? last.meters.prices() : recent
    return prices.map { price in
      let key = "\(price.thread)/\(price.place)"
      let within =
        price.place == "own"
        ? seen.handling
        : ((last.placesBusy[key] ?? 0) - (first.placesBusy[key] ?? 0)) / max(seen.seconds, 1e-9)
      return SaturationEvidence.Part(price.part, place: price.place, share: within * price.share)
    }
  }

  private func costs(
    _ seen: SaturationEvidence, _ receive: ReceiveConfiguration
  ) -> CapacityCosts {
    var costs = CapacityCosts()
    guard let first, let last, seen.bytes > 0 else { return costs }
    let kib = Double(seen.bytes) / 1024
    let recent = last.meters.prices(since: first.meters)
    let prices = recent.isEmpty ? last.meters.prices() : recent
    // Threads of one kind have like prices: the mean stands for all.
    for part in ["parse", "checksum", "stage", "sink", "hand-over"] {
      let own = prices.filter { $0.part == part }
      guard !own.isEmpty else { continue }
      let sum = own.reduce(0) { $0 + $1.nanosecondsPerKiB }
      costs.parts.append(CapacityCosts.Part(part, sum / Double(own.count)))
    }
    let receiving = last.host.seconds("ingest-", since: first.host) * 1e9
    let kernel = receiving * seen.receiver.kernelShare
    let calls = Double(last.receive.enters &- first.receive.enters)
    // A thread that is behind waits for so many completions at least, whatever it did here.
    var waits = EngineOptions()
    waits.waitBatch = receive.latency ? 1 : UInt32(receive.waitBatch)
    let batch = Double(
      waits.batch(buffers: UInt32(clamping: seen.ring.buffers / max(receive.threads, 1))))
    costs.systemCallsPerCompletion =
      min(calls / Double(max(seen.ring.completions, 1)), 1 / batch)
    costs.kernelNanosecondsPerKiB = max(0, kernel - calls * costs.systemCallNanoseconds) / kib
    costs.copiedShare = seen.copiedShare
    // What neither the kernel nor a part has. Short leases make it the price of completions; long
    // ones hide that.
    let rest = max(0, receiving - kernel - costs.chainNanosecondsPerKiB * kib)
    let leases = Double(max(last.receive.leases &- first.receive.leases, 1))
    if Double(seen.bytes) / leases <= SaturationWatch.shortLease {
      // Parts that were sampled at a bad moment can leave nothing: then it was not measured.
      if rest > 0 { costs.completionNanoseconds = rest / leases }
    } else {
      costs.otherNanosecondsPerKiB = rest / kib
    }
    let soft = last.host.softSeconds(since: first.host) * 1e9
    costs.softInterruptNanosecondsPerKiB = soft / kib
    costs.senderNanosecondsPerKiB = last.host.seconds("send-", since: first.host) * 1e9 / kib
    costs.longestHoldSeconds = longestHold
    // Little's law: held = leases per second × time.
    if looks > 0 { costs.meanHoldSeconds = heldSum / Double(looks) * seen.seconds / leases }
    return costs
  }
}
