import Ingest

/// Notices threads of a chain that have work and do not move: a sink that waits for a reader or a
/// disk, a stage that hangs.
struct StallWatch {
  private struct Seen {
    var items: UInt64
    var since: Double
    var isTold = false
  }

  /// Seconds without an item done while some wait, or within one batch.
  private static let patience = 5.0
  /// Seconds between two looks after which the process must have been stopped.
  private static let gap = 2.0
  /// What the reader may suspect, by name.
  private let stages: [String]
  private var seen: [String: Seen] = [:]
  /// Receiving threads whose batch at hand was told of.
  private var told: Set<Int> = []
  private var lookedAt = 0.0
  /// When the process last went on after it had been stopped.
  private var resumedAt = 0.0

  init(stages: [String]) { self.stages = stages }

  /// What has stood still for too long, each once, as sentences.
  mutating func look(_ loads: @autoclosure () -> [StageLoad], now: Double) -> [String] {
    guard now - lookedAt >= 0.5 else { return [] }
    // Who was stopped himself (SIGSTOP, ^Z) has seen nobody stand still.
    if now - lookedAt >= StallWatch.gap {
      resumedAt = now
      for key in seen.keys { seen[key]?.since = now }
    }
    lookedAt = now
    return loads().flatMap { load -> [String] in
      let places = load.places.compactMap { place($0, of: load, now: now) }
      return [receiving(load, now: now)].compactMap { $0 } + places
    }
  }

  private mutating func place(
    _ place: StageLoad.Place, of load: StageLoad, now: Double
  ) -> String? {
    let key = "\(load.thread)/\(place.name)"
    guard place.depth > 0, var last = seen[key], last.items == place.items else {
      seen[key] = Seen(items: place.items, since: now)
      return nil
    }
    defer { seen[key] = last }
    guard !last.isTold && now - last.since >= StallWatch.patience else { return nil }
    last.isTold = true
    return "the \(place.name)'s thread (of receiving thread \(load.thread)) has not moved for "
      + "\(Int(StallWatch.patience)) s, with \(place.depth) items and \(load.heldLeases) leases "
      + "waiting: \(causes); receiving pauses until it goes on"
  }

  /// The thread that receives. One that waits for another is not to blame: that one is told of.
  private mutating func receiving(_ load: StageLoad, now: Double) -> String? {
    guard load.handlingSeconds >= StallWatch.patience else {
      told.remove(load.thread)
      return nil
    }
    guard now - resumedAt >= StallWatch.patience else { return nil }
    guard load.places.allSatisfy({ $0.depth == 0 }), told.insert(load.thread).inserted else {
      return nil
    }
    return "receiving thread \(load.thread) has been within one batch for "
      + "\(Int(StallWatch.patience)) s, with \(load.heldLeases) leases held: \(causes); its "
      + "connections pause until it goes on"
  }

  private var causes: String {
    guard !stages.isEmpty else { return "its sink waits for a reader or a disk" }
    return "its sink waits for a reader or a disk, or a stage hangs "
      + "(\(stages.joined(separator: ", ")); one that is loaded with --stage-isolated is ended "
      + "after --stage-timeout)"
  }
}
