package import Ingest

/// What a receiver did between two moments.
package struct ReceiveInterval: Encodable, Sendable {
  /// Seconds since the start of the run.
  package var start: Double
  package var end: Double
  package var seconds: Double
  package var bytes: UInt64
  package var bitsPerSecond: Double
  package var records: UInt64
  package var recordsPerSecond: Double
  package var leasesPerBatch: Double
  package var pauses: UInt64
  package var pressure: Pressure
  /// Over the whole run so far.
  package var freeBuffersLow: UInt64?
  /// Bytes that were certainly copied into the area, and those known to be zero-copy, 0 to 1 of
  /// all; what is left is unknown.
  package var copiedShare: Double
  package var zeroCopyShare: Double
  package var truth: ByteTruth
  package var faults: UInt64
  /// CPU time of the whole process over the interval's time; 1 is one CPU.
  package var cpu: Double?
  /// What the parts of the chain cost, and what it holds.
  package var stages: [StagePrice] = []
  package var loads: [StageLoad] = []

  package init(
    from old: ReceiveCounters, to new: ReceiveCounters, start: Double, end: Double, cpu: Double?
  ) {
    self.start = start
    self.end = end
    let span = max(end - start, 1e-9)
    seconds = end - start
    bytes = new.bytes &- old.bytes
    bitsPerSecond = Double(bytes) * 8 / span
    records = new.records &- old.records
    recordsPerSecond = Double(records) / span
    leasesPerBatch = ratio(new.leases &- old.leases, new.batches &- old.batches)
    pauses = new.pauses &- old.pauses
    pressure = Pressure(from: old, to: new)
    freeBuffersLow = new.freeBuffersLow
    truth = new.truth.since(old.truth)
    copiedShare = min(1, ratio(truth.copied, bytes))
    zeroCopyShare = min(1, ratio(truth.zeroCopy, bytes))
    faults = new.faults &- old.faults
    self.cpu = cpu.map { $0 / span }
  }

  package static let header =
    "[ ID] Interval           Transfer     Bitrate         "
    + "Records/s  Batch  Paused  Free low  Zero-copy   CPU  Slowest"

  package func row(_ id: String, _ format: RateFormat) -> String {
    rowHead(id, start: start, end: end, bytes: bytes, bitsPerSecond: bitsPerSecond, format)
      + Units.left(Units.count(recordsPerSecond), 9)
      + Units.left(Units.fixed(leasesPerBatch, 1), 7)
      + Units.left(String(pauses), 8)
      + Units.left(freeBuffersLow.map { String($0) } ?? "-", 10)
      + Units.left(Units.percent(zeroCopyShare), 11)
      + Units.left(cpu.map { Units.fixed($0 * 100, 0) + "%" } ?? "", 6)
      + (slowest.map { "  " + $0.part } ?? "")
      + (pressure.words.isEmpty ? "" : "  (\(pressure.words.joined(separator: ", ")))")
  }

  /// The part of the chain that takes most of its thread's time.
  package var slowest: StagePrice? { stages.max { $0.share < $1.share } }
}

/// What a sender did between two moments.
package struct SendInterval: Encodable, Sendable {
  package var start: Double
  package var end: Double
  package var seconds: Double
  package var bytes: UInt64
  package var bitsPerSecond: Double
  package var records: UInt64
  package var recordsPerSecond: Double
  package var sends: UInt64
  package var sendsPerSecond: Double
  /// Sends whose bytes the kernel copied, 0 to 1 of all; plain sends are copied.
  package var copiedShare: Double
  package var retransmits: UInt64
  package var poolWaits: UInt64
  package var cpu: Double?

  package init(
    from old: SendCounters, to new: SendCounters, start: Double, end: Double, cpu: Double?
  ) {
    self.start = start
    self.end = end
    let span = max(end - start, 1e-9)
    seconds = end - start
    bytes = new.bytes &- old.bytes
    bitsPerSecond = Double(bytes) * 8 / span
    records = new.records &- old.records
    recordsPerSecond = Double(records) / span
    sends = new.sends &- old.sends
    sendsPerSecond = Double(sends) / span
    copiedShare = copiedSends(from: old, to: new)
    retransmits = new.retransmits &- old.retransmits
    poolWaits = new.poolWaits &- old.poolWaits
    self.cpu = cpu.map { $0 / span }
  }

  package static let header =
    "[ ID] Interval           Transfer     Bitrate         "
    + "Records/s   Sends/s  Copied  Retr   Waits   CPU"

  package func row(_ id: String, _ format: RateFormat) -> String {
    rowHead(id, start: start, end: end, bytes: bytes, bitsPerSecond: bitsPerSecond, format)
      + Units.left(Units.count(recordsPerSecond), 9)
      + Units.left(Units.count(sendsPerSecond), 10)
      + Units.left(Units.fixed(copiedShare * 100, 0) + "%", 8)
      + Units.left(String(retransmits), 6)
      + Units.left(Units.count(Double(poolWaits)), 8)
      + Units.left(cpu.map { Units.fixed($0 * 100, 0) + "%" } ?? "", 6)
  }
}

/// The share of sends whose bytes the kernel copied: all that did not go zero-copy, and those
/// zero-copy ones whose notification said so.
package func copiedSends(from old: SendCounters, to new: SendCounters) -> Double {
  let sends = new.sends &- old.sends
  let zeroCopy = new.zeroCopySends &- old.zeroCopySends
  let copied = new.copiedSends &- old.copiedSends
  let plain = sends >= zeroCopy ? sends - zeroCopy : 0
  return min(1, ratio(plain + copied, sends))
}

package func ratio(_ part: UInt64, _ whole: UInt64) -> Double {
  whole == 0 ? 0 : Double(part) / Double(whole)
}

/// iperf3's columns: `[ ID] Interval Transfer Bitrate`.
package func rowHead(
  _ id: String, start: Double, end: Double, bytes: UInt64, bitsPerSecond: Double,
  _ format: RateFormat
) -> String {
  let interval = Units.left(Units.fixed(start, 2), 6) + "-" + Units.right(Units.fixed(end, 2), 6)
  return "[\(Units.left(id, 3))] \(interval) sec  "
    + Units.right(Units.transfer(bytes), 13)
    + Units.right(Units.rate(bitsPerSecond, format), 16)
}
