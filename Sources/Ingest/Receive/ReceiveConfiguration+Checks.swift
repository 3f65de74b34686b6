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
    try ReceiveConfiguration.require(
      refill >= 0 && refill <= 32768, "--refill takes 1 to 32768 entries")
    try ReceiveConfiguration.require(
      completions >= 0 && completions <= 65536, "--completions takes 1 to 65536 entries")
    try ReceiveConfiguration.require(
      busyPoll >= 0 && busyPoll <= 10_000, "--busy-poll takes 0 to 10ms, the kernel's limit")
    guard buffer == 0 || buffer >= 4096 && buffer & (buffer - 1) == 0 && buffer <= 1 << 30 else {
      throw IngestError(
        .usage, "--buffer \(buffer) is not a power of two from 4K to 1G",
        remedy: "without --buffer the engine takes the longest that works")
    }
  }

  /// The area's shape with buffers of this length.
  func layout(bufferLength: Int, _ plan: EnginePlan) throws(IngestError) -> AreaLayout {
    let area = plan.area(self, bufferLength: bufferLength)
    guard area >= bufferLength, area <= AreaLayout.limit,
      let layout = AreaLayout(bufferSize: bufferLength, bufferCount: area / bufferLength)
    else {
      throw IngestError(
        .usage, "--area \(area) holds no buffer of \(bufferLength) bytes, or is above 4G",
        remedy: "the area is cut into buffers of --buffer bytes")
    }
    if plan.engine == .copy && layout.bufferCount > 32768 {
      throw IngestError(
        .usage,
        "--area makes \(layout.bufferCount) buffers of \(bufferLength) bytes, more than "
          + "32768", remedy: "larger buffers (--buffer) make fewer of them")
    }
    return layout
  }

  /// This configuration with the area that its memory is: of a given dmabuf all there is.
  func withGivenArea() throws(IngestError) -> ReceiveConfiguration {
    guard case .dmabuf(let descriptor) = memory else { return self }
    let flag = "--memory \(memory.rawValue)"
    let bytes: Int
    do throws(RingError) {
      bytes = try AreaBacking.byteCount(ofDMABuf: descriptor)
    } catch {
      throw IngestError(.usage, "\(flag): could not \(error.step)", remedy: error.remedy)
    }
    guard area == 0 || area == bytes else {
      throw IngestError(
        .usage, "--area \(area) is not the size of the dmabuf, \(bytes)",
        remedy: "leave --area out: the area is all of the dmabuf")
    }
    guard buffer == 0 || bytes % buffer == 0 else {
      throw IngestError(
        .usage, "\(flag): the dmabuf's \(bytes) bytes are not whole buffers of \(buffer)",
        remedy: "give a --buffer that divides them, or none")
    }
    var configuration = self
    configuration.area = bytes
    return configuration
  }

  /// Refuses memory that an engine cannot have.
  func checkMemory(_ plan: EnginePlan) throws(IngestError) {
    if plan.engine == .deviceless && memory.areaKind.isDMABuf {
      throw IngestError(
        .usage,
        "--memory \(memory.rawValue) is for a NIC's queue: the kernel copies into no dmabuf, and "
          + "without a NIC it copies everything",
        remedy: "with --engine nodev take pages, thp, huge2m or huge1g")
    }
    if case .dmabuf = memory, plan.areas > 1 {
      throw IngestError(
        .usage, "--memory \(memory.rawValue): \(plan.areas) areas cannot be one dmabuf",
        remedy: "use one thread, or with --queue one queue: each has an area of its own")
    }
  }

  /// Refuses a stage that reads payload where the CPU cannot.
  @usableFromInline
  func checkReadable(_ areaIsReadable: Bool, stageReads: Bool) throws(IngestError) {
    guard stageReads && !areaIsReadable else { return }
    throw IngestError(
      .usage,
      "--memory \(memory.rawValue) cannot be read by the CPU, which this chain does: "
        + "--parse \(parse) --checksum \(checksum) --sink \(sink)",
      remedy: "--parse raw or fixed, --checksum none and --sink null leave payload alone; or take "
        + "another kind of memory")
  }

  private static func require(_ holds: Bool, _ text: String) throws(IngestError) {
    if !holds { throw IngestError(.usage, text) }
  }
}

extension MemoryKind {
  var areaKind: AreaMemoryKind {
    switch self {
    case .pages: .pages
    case .thp: .thp
    case .huge2m: .huge2m
    case .huge1g: .huge1g
    case .udmabuf(let hugePages): .udmabuf(hugePages: hugePages)
    case .dmaHeap(let name): .dmaHeap(name)
    case .dmabuf(let descriptor): .dmabuf(descriptor)
    }
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
    copiedBytes = engine.copiedBytes
    handedOver = engine.handedOver
    noBuffers = engine.noBuffers
    completionsFull = engine.completionsFull
    refillFlushes = engine.refillFlushes
    misplaced = engine.misplaced
    unsplit = engine.unsplit
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
    freeBuffersLow = engine.freeBuffersLow == .max ? nil : engine.freeBuffersLow
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
    handedOver += other.handedOver
    noBuffers += other.noBuffers
    completionsFull += other.completionsFull
    refillFlushes += other.refillFlushes
    misplaced += other.misplaced
    unsplit += other.unsplit
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
    if let low = other.freeBuffersLow {
      freeBuffersLow = first ? low : min(freeBuffersLow ?? low, low)
    }
  }
}
