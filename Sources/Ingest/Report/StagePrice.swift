import CIngestKernel
import RingCore
import ZeroCopy

/// What one part of a chain costs, by sampling: one batch of 64.
public struct StagePrice: Codable, Sendable, Equatable {
  /// `parse`, `checksum`, `stage`, `sink`, or `hand-over`: giving records to another thread.
  public var part: String
  /// Which receiving thread, and the thread of its chain: `own`, or what runs there.
  public var thread: Int
  public var place: String
  /// CPU nanoseconds for each KiB that came; what one reading of the counter
  /// costs is taken off.
  public var nanosecondsPerKiB: Double
  /// The part of the thread's sampled time, 0 to 1.
  public var share: Double
  /// Batches that were sampled.
  public var samples: UInt64
}

/// What a receiving thread's chain holds, and how far its threads lag.
public struct StageLoad: Codable, Sendable, Equatable {
  public var thread: Int
  /// Leases that stages hold, bytes of all that they ever held, and the age of the oldest hold in
  /// seconds.
  public var heldLeases: UInt64
  public var keptBytes: UInt64
  public var oldestHoldSeconds: Double
  /// How long the batch at hand has been handled, in seconds; 0 between two. A stage that hangs
  /// shows here, and one that waits.
  public var handlingSeconds: Double
  /// Threads that run later parts.
  public var places: [Place]

  public init(
    thread: Int, heldLeases: UInt64, keptBytes: UInt64, oldestHoldSeconds: Double,
    handlingSeconds: Double, places: [Place]
  ) {
    self.thread = thread
    self.heldLeases = heldLeases
    self.keptBytes = keptBytes
    self.oldestHoldSeconds = oldestHoldSeconds
    self.handlingSeconds = handlingSeconds
    self.places = places
  }

  public struct Place: Codable, Sendable, Equatable {
    public var name: String
    /// Items that it has done.
    public var items: UInt64
    /// Items that wait for it now, and the most that ever did.
    public var depth: UInt64
    public var deepest: UInt64
    /// Time it worked, in seconds, and times that it went to sleep.
    public var busySeconds: Double
    public var sleeps: UInt64

    public init(
      name: String, items: UInt64, depth: UInt64, deepest: UInt64, busySeconds: Double,
      sleeps: UInt64
    ) {
      self.name = name
      self.items = items
      self.depth = depth
      self.deepest = deepest
      self.busySeconds = busySeconds
      self.sleeps = sleeps
    }
  }
}

/// What the parts of all chains have cost up to a moment.
public struct StageMeters: Sendable {
  struct Entry: Sendable {
    var thread: Int
    var place: String
    var handsOver: Bool
    var totals: Meter.Totals
  }

  var entries: [Entry] = []

  public init() {}

  /// Prices of what came since an earlier moment; those of nothing sampled are left out.
  public func prices(since old: StageMeters = StageMeters()) -> [StagePrice] {
    entries.enumerated().flatMap { index, entry in
      let before = index < old.entries.count ? old.entries[index].totals : Meter.Totals()
      let totals = entry.totals.since(before)
      return Meter.Part.allCases.compactMap { part -> StagePrice? in
        guard totals[part] > 0, let price = totals.nanosecondsPerKiB(part) else { return nil }
        return StagePrice(
          part: part == .sink && entry.handsOver ? "hand-over" : "\(part)", thread: entry.thread,
          place: entry.place, nanosecondsPerKiB: price,
          share: Double(totals[part]) / Double(max(totals.ticks, 1)), samples: totals.batches)
      }
    }
  }
}

extension Receiver {
  /// What each part of each thread's chain has cost so far.
  public func meters() -> StageMeters {
    var meters = StageMeters()
    for thread in chainThreads() { meters.entries += thread.meters() }
    return meters
  }

  /// What each thread's chain holds.
  public func loads() -> [StageLoad] { chainThreads().map { $0.load() } }
}

extension QueueThread {
  func meters() -> [StageMeters.Entry] {
    let placed = placed
    let own = StageMeters.Entry(
      thread: index, place: "own", handsOver: !placed.isEmpty, totals: engineCounters.meter)
    return [own]
      + placed.enumerated().map { position, thread in
        StageMeters.Entry(
          thread: index, place: thread.name, handsOver: position + 1 < placed.count,
          totals: thread.counters.meter)
      }
  }

  func load() -> StageLoad {
    let engine = engineCounters
    // Read before the clock, so that no batch begins in the future.
    let since = engine.handlingSince
    let now = ik_clock_ns()
    return StageLoad(
      thread: index, heldLeases: engine.heldLeases, keptBytes: engine.keptBytes,
      oldestHoldSeconds: Double(engine.oldestHold) / 1e3,
      handlingSeconds: since == 0 || since > now ? 0 : Double(now - since) / 1e9,
      places: placed.map { thread in
        let counters = thread.counters
        return StageLoad.Place(
          name: thread.name, items: counters.items, depth: thread.waiting,
          deepest: counters.deepest,
          busySeconds: Double(counters.busyNanoseconds) / 1e9, sleeps: counters.sleeps)
      })
  }
}
