import RingCore
import ZeroCopy

extension ReceiveConfiguration {
  /// Refuses values that make no sense, naming the flag and what it takes.
  @usableFromInline
  func validate() throws(IngestError) {
    try ReceiveConfiguration.require(threads >= 1 && threads <= 256, "--threads takes 1 to 256")
    try ReceiveConfiguration.require(
      maxConnections >= 1 && maxConnections <= 1 << 20, "--max-connections takes 1 to 1048576")
    try ReceiveConfiguration.require(
      waitBatch >= 1 && waitBatch <= 4096, "--wait-batch takes 1 to 4096 completions")
    try ReceiveConfiguration.require(
      minWait >= 0 && minWait <= 1_000_000, "--min-wait takes 0 to 1s")
    try ReceiveConfiguration.require(time >= 0 && time < 1e9, "-t takes seconds, 0 or more")
    try ReceiveConfiguration.require(
      socketBuffer >= 0 && socketBuffer < 1 << 31, "--socket-buffer takes 0 to 2G")
    _ = try layout()
  }

  /// The area's shape.
  func layout() throws(IngestError) -> AreaLayout {
    guard buffer >= 4096, buffer & (buffer - 1) == 0, buffer <= 1 << 30 else {
      throw IngestError(
        .usage, "--buffer \(buffer) is not a power of two from 4K to 1G",
        remedy: "one receive writes into one buffer; 64K is the default")
    }
    guard area >= buffer, area <= AreaLayout.limit,
      let layout = AreaLayout(bufferSize: buffer, bufferCount: area / buffer)
    else {
      throw IngestError(
        .usage, "--area \(area) holds no buffer of \(buffer) bytes, or is above 4G",
        remedy: "the area is cut into buffers of --buffer bytes; 8M is the default")
    }
    guard layout.bufferCount <= 32768 else {
      throw IngestError(
        .usage, "--area makes \(layout.bufferCount) buffers of \(buffer) bytes, more than 32768",
        remedy: "larger buffers (--buffer) make fewer of them")
    }
    return layout
  }

  private static func require(_ holds: Bool, _ text: String) throws(IngestError) {
    if !holds { throw IngestError(.usage, text) }
  }
}

extension ReceiveMode {
  var engineMode: CopyEngineOptions.Mode? {
    switch self {
    case .auto: nil
    case .incremental: .incremental
    case .bundle: .bundle
    case .plain: .plain
    }
  }
}

extension ReceiveCounters {
  init(engine: EngineCounters, observed: ObservedTotals) {
    bytes = engine.bytes
    completions = engine.completions
    leases = engine.leases
    batches = engine.batches
    enters = engine.enters
    records = observed.stage.records
    payloadBytes = observed.stage.payloadBytes
    copiedBytes = engine.bytes
    pauses = engine.pauses
    rearms = engine.rearms
    accepted = engine.accepted
    rejected = engine.rejected
    acceptFailures = engine.acceptFailures
    closed = engine.closed
    reset = engine.reset
    refused = engine.refused
    discardedBytes = engine.discardedBytes
    faults = observed.faults
    sinkBytes = observed.stage.sinkBytes
    sinkCopiedBytes = observed.stage.sinkCopiedBytes
    eventsDropped = observed.eventsDropped
    freeBuffersLow = engine.freeBuffersLow
  }

  /// Adds another thread's counters; the low mark is the lowest of all.
  mutating func add(_ other: ReceiveCounters, first: Bool) {
    bytes += other.bytes
    completions += other.completions
    leases += other.leases
    batches += other.batches
    enters += other.enters
    records += other.records
    payloadBytes += other.payloadBytes
    copiedBytes += other.copiedBytes
    pauses += other.pauses
    rearms += other.rearms
    accepted += other.accepted
    rejected += other.rejected
    acceptFailures += other.acceptFailures
    closed += other.closed
    reset += other.reset
    refused += other.refused
    discardedBytes += other.discardedBytes
    faults += other.faults
    sinkBytes += other.sinkBytes
    sinkCopiedBytes += other.sinkCopiedBytes
    eventsDropped += other.eventsDropped
    freeBuffersLow = first ? other.freeBuffersLow : min(freeBuffersLow, other.freeBuffersLow)
  }
}
