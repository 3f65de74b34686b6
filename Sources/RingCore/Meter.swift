public import CIngestKernel

/// What the parts of a chain cost, in time-stamp counter ticks, over the batches that are sampled.
///
/// A sampled batch reads the counter after each part of each piece; the others have one test for a
/// lease. What a reading costs itself is measured once and taken off.
///
/// - Cost: of 64 batches one is sampled, which reads the counter after each part of each piece: 2.3
///   instructions a lease in the mean, where a lease of one piece costs 31.2 (tools/gates/chain).
@frozen
public struct Meter: BitwiseCopyable, Sendable {
  /// A part of a chain.
  @frozen
  public enum Part: Int, Sendable, CaseIterable {
    case parse, checksum, stage, sink
  }

  /// Sums over sampled batches, as plain words.
  @frozen
  public struct Totals: BitwiseCopyable, Equatable, Sendable {
    /// Ticks of the parts, in the order of ``Part``.
    public var parse: UInt64 = 0
    public var checksum: UInt64 = 0
    public var stage: UInt64 = 0
    public var sink: UInt64 = 0
    /// Sampled batches, bytes in them, their whole length in ticks and in nanoseconds.
    public var batches: UInt64 = 0
    public var bytes: UInt64 = 0
    public var ticks: UInt64 = 0
    public var nanoseconds: UInt64 = 0

    @inlinable
    public init() {}
  }

  /// Whether the batch at hand is sampled.
  public var isOn = false
  public var totals = Totals()
  @usableFromInline var last: UInt64 = 0
  @usableFromInline var beganTicks: UInt64 = 0
  @usableFromInline var beganAt: UInt64 = 0
  /// The number of the next batch to sample.
  @usableFromInline var next: UInt64 = 0
  @usableFromInline let reading: UInt64

  /// One batch of so many is sampled.
  @inlinable public static var interval: UInt64 { 64 }

  public init() {
    // The least that two readings in a row are apart.
    var least = UInt64.max
    for _ in 0..<32 {
      let first = ik_ticks()
      least = min(least, ik_ticks() &- first)
    }
    reading = least
  }

  /// A batch begins; `number` counts them upwards.
  @inlinable @inline(__always)
  public mutating func begin(_ number: UInt64, now: UInt64) {
    isOn = number >= next
    if isOn { beginSample(number, now) }
  }

  @inline(never) @usableFromInline
  mutating func beginSample(_ number: UInt64, _ now: UInt64) {
    next = number &+ Meter.interval
    beganAt = now
    beganTicks = ik_ticks()
    last = beganTicks
  }

  /// The batch ends, in which so many bytes came.
  @inlinable @inline(__always)
  public mutating func end(bytes: UInt64) {
    if isOn { endSample(bytes) }
  }

  @inline(never) @usableFromInline
  mutating func endSample(_ bytes: UInt64) {
    isOn = false
    // Batches of nothing say nothing about bytes: the next one is sampled in its place.
    guard bytes > 0 else {
      next = 0
      return
    }
    totals.batches &+= 1
    totals.bytes &+= bytes
    totals.ticks &+= ik_ticks() &- beganTicks
    totals.nanoseconds &+= ik_clock_ns() &- beganAt
  }

  /// What comes now is the next part's.
  @inlinable @inline(__always)
  public mutating func start() { last = ik_ticks() }

  /// What came since the last reading was this part's.
  @inlinable @inline(__always)
  public mutating func lap(_ part: Part) {
    let now = ik_ticks()
    let ticks = now &- last
    last = now
    let net = ticks > reading ? ticks &- reading : 0
    switch part {
    case .parse: totals.parse &+= net
    case .checksum: totals.checksum &+= net
    case .stage: totals.stage &+= net
    case .sink: totals.sink &+= net
    }
  }
}

extension Meter.Totals {
  public subscript(part: Meter.Part) -> UInt64 {
    switch part {
    case .parse: parse
    case .checksum: checksum
    case .stage: stage
    case .sink: sink
    }
  }

  /// Adds another thread's.
  public mutating func add(_ other: Self) {
    parse &+= other.parse
    checksum &+= other.checksum
    stage &+= other.stage
    sink &+= other.sink
    batches &+= other.batches
    bytes &+= other.bytes
    ticks &+= other.ticks
    nanoseconds &+= other.nanoseconds
  }

  /// What came since `old`.
  public func since(_ old: Self) -> Self {
    var new = self
    new.parse &-= old.parse
    new.checksum &-= old.checksum
    new.stage &-= old.stage
    new.sink &-= old.sink
    new.batches &-= old.batches
    new.bytes &-= old.bytes
    new.ticks &-= old.ticks
    new.nanoseconds &-= old.nanoseconds
    return new
  }

  /// Nanoseconds of a part for each KiB that came; nil before the first sample.
  public func nanosecondsPerKiB(_ part: Meter.Part) -> Double? {
    guard bytes > 0, ticks > 0 else { return nil }
    let perTick = Double(nanoseconds) / Double(ticks)
    return Double(self[part]) * perTick * 1024 / Double(bytes)
  }
}
