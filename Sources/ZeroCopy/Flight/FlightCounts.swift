package import RingCore

/// What a stretch of a recording comes to.
public struct FlightCounts: Equatable, Sendable {
  public var batches = 0
  /// Batches that brought something. A replay may wait more often for a time to pass.
  public var filledBatches = 0
  /// Data completions, and their bytes.
  public var completions = 0
  public var bytes: UInt64 = 0
  public var leases: UInt64 = 0
  public var opened = 0
  public var rejected = 0
  public var refused = 0
  public var pauses = 0
  public var armed = 0
  /// Ended receives by the errno that the kernel gave (0: the end of the data), and closed
  /// connections by how. Once a stop was asked for, an end by it and one by the peer look alike.
  public var ends: [Int32: Int] = [:]
  public var closed: [UInt32: Int] = [:]
  public var held = 0
  public var gaveBack = 0
  public var flushes = 0
  /// Requests of the sink's that completed, those of them that failed, and allocation failures that
  /// the NIC's queue told of.
  public var sinkCompletions = 0
  public var sinkFailures = 0
  public var queueEvents = 0

  public init() {}

  /// Counts what the track recorded, up to the last batch that is known whole.
  public init(of track: FlightTrack) {
    self.init(track.events, isWhole: ReplayScript(track.events).isWhole)
  }

  /// Counts between the marks of a replay, or all there is.
  package init(_ events: [FlightEvent], isWhole: Bool) {
    var first = events.firstIndex { $0.kind == .batch } ?? events.endIndex
    var end = events.endIndex
    if !isWhole { end = events.lastIndex { $0.kind == .batch } ?? first }
    for (index, event) in events.enumerated() {
      switch ReplayMark(event) {
      case .begins: first = index + 1
      case .ends where !isWhole: end = index - 1
      default: break
      }
    }
    guard first < end else { return }
    var isStopping = false
    for event in events[first..<end] { count(event, &isStopping) }
    let marked = events[first..<end].filter { ReplayMark($0) != nil }.count
    batches -= marked
    filledBatches -= marked
    let states = events[first...].prefix(end - first + 1).filter {
      $0.kind == .batch || $0.kind == .ended
    }
    if let start = states.first, let last = states.last {
      leases = UInt64(UInt32(last.third >> 32) &- UInt32(start.third >> 32))
    }
  }

  private mutating func count(_ event: FlightEvent, _ isStopping: inout Bool) {
    if let operation = event.operation {
      count(completion: event, operation)
      return
    }
    switch event.kind {
    case .batch:
      batches += 1
      if event.index > 0 { filledBatches += 1 }
    case .opened: opened += 1
    case .rejected: rejected += 1
    case .refused: refused += 1
    case .paused: pauses += 1
    case .armed: armed += 1
    case .held: held += 1
    case .gaveBack: gaveBack += Int(event.detail)
    case .flushed: flushes += 1
    case .stopping: isStopping = true
    case .closed:
      let isEither = isStopping && event.detail == StreamEnd.finished.code
      closed[isEither ? StreamEnd.stopped.code : event.detail, default: 0] += 1
    case .wait, .resumed, .handedOver, .cutOff, .ended, .note, .text, nil: break
    }
  }

  private mutating func count(completion event: FlightEvent, _ operation: OperationTag.Kind) {
    switch operation {
    case .receive where event.result > 0:
      completions += 1
      bytes += UInt64(event.result)
    case .receive:
      if event.flags & 2 == 0 { ends[0 &- event.result, default: 0] += 1 }
    case .stage:
      sinkCompletions += 1
      if event.result < 0 { sinkFailures += 1 }
    case .event: queueEvents += 1
    default: break
    }
  }

  /// What differs, of what a replay does again: name, here, there.
  public func differences(from other: FlightCounts) -> [(name: String, here: Int, there: Int)] {
    var rows: [(name: String, here: Int, there: Int)] = [
      ("batches", filledBatches, other.filledBatches),
      ("completions", completions, other.completions),
      ("bytes", Int(clamping: bytes), Int(clamping: other.bytes)),
      ("opened", opened, other.opened), ("rejected", rejected, other.rejected),
      ("refused", refused, other.refused), ("pauses", pauses, other.pauses),
    ]
    for errno in Set(ends.keys).union(other.ends.keys).sorted() {
      rows.append(("receives ended with errno \(errno)", ends[errno] ?? 0, other.ends[errno] ?? 0))
    }
    for code in Set(closed.keys).union(other.closed.keys).sorted() {
      let name = StreamEnd(code: code, errno: 0).map { "\($0)" } ?? "\(code)"
      let word = name.prefix { $0 != "(" }
      rows.append(("closed as \(word)", closed[code] ?? 0, other.closed[code] ?? 0))
    }
    return rows.filter { $0.here != $0.there }
  }
}
