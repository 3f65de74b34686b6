import NICControl
import RingCore
import Stages
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
    try ReceiveConfiguration.require(
      stageTimeout >= 0.001 && stageTimeout <= 3600, "--stage-timeout takes 1ms to 1h")
    try ReceiveConfiguration.require(time >= 0 && time < 1e9, "-t takes seconds, 0 or more")
    try ReceiveConfiguration.require(
      socketBuffer >= 0 && socketBuffer < 1 << 31, "--socket-buffer takes 0 to 2G")
    try ReceiveConfiguration.require(
      peerTimeout == 0 || peerTimeout >= 1 && peerTimeout <= 43200,
      "--peer-timeout takes 1s to 12h, or 0 for never")
    try ReceiveConfiguration.require(
      refill >= 0 && refill <= 32768, "--refill takes 1 to 32768 entries")
    try ReceiveConfiguration.require(
      completions >= 0 && completions <= 65536, "--completions takes 1 to 65536 entries")
    try ReceiveConfiguration.require(
      busyPoll >= 0 && busyPoll <= 10_000, "--busy-poll takes 0 to 10ms, the kernel's limit")
    try ReceiveConfiguration.require(
      recordEvents >= 0 && recordEvents <= 1 << 26 && recordEvents & (recordEvents &- 1) == 0,
      "--record-events takes 0, or a power of two up to 67108864")
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
    try checkMemoryLimit(plan)
    if plan.engine == .deviceless && memory.areaKind.isDMABuf {
      throw IngestError(
        .usage,
        "--memory \(memory.rawValue) is for a NIC's queue: the kernel copies into no dmabuf, and "
          + "without a NIC it copies everything",
        remedy: "with --engine nodev take pages, thp, huge2m or huge1g")
    }
    if sharesArea && memory.areaKind.isDMABuf {
      throw IngestError(
        .usage,
        "--memory \(memory.rawValue) cannot be shared with another process, "
          + "as --sink \(sink) or an isolated stage does",
        remedy: "take pages, thp, huge2m or huge1g")
    }
    if case .dmabuf = memory, plan.areas > 1 {
      throw IngestError(
        .usage, "--memory \(memory.rawValue): \(plan.areas) areas cannot be one dmabuf",
        remedy: "use one thread, or with --queue one queue: each has an area of its own")
    }
  }

  /// Refuses a limit that an engine can never keep.
  func checkCopyLimit(_ plan: EnginePlan) throws(IngestError) {
    let name = plan.engine == .copy ? "copy" : "nodev"
    guard maxCopied.share < 1, plan.engine == .copy || plan.engine == .deviceless else { return }
    throw IngestError(
      .notSupported,
      "--max-copied \(maxCopied.rawValue): engine \(name) copies every byte",
      remedy: "--ifname and --queue name a NIC's receive queue for zero-copy, `ingest doctor` says "
        + "what it takes; or leave --max-copied out")
  }

  /// Refuses areas that the cgroup has no room for: the kernel would end the process (SIGKILL)
  /// while it starts, and nobody would say why. Huge pages and dmabufs are not counted there.
  private func checkMemoryLimit(_ plan: EnginePlan) throws(IngestError) {
    guard [.pages, .thp].contains(memory), let limit = MemoryLimit.current() else { return }
    let wanted = plan.areas * plan.area(self, bufferLength: plan.bufferLengths[0])
    guard wanted > limit.bytes else { return }
    throw IngestError(
      .refusedByKernel,
      "the area is \(ByteSize.spelled(wanted)), and this process's cgroup may use "
        + "\(ByteSize.spelled(Int(clamping: limit.bytes))) of memory (\(limit.file))",
      remedy: "ask for a smaller one with --area, or raise the limit (MemoryMax= in its systemd "
        + "unit, `--memory` of its container)")
  }

  /// Whether the chain's sink or a stage hands the area to another process.
  var sharesArea: Bool {
    (try? SinkSpecification(sink))?.sharesArea ?? false
      || stages.contains { $0.hasPrefix(PluginSpecification.isolated) }
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
    set(ByteEvidence(engine).truth)
    handedOver = engine.handedOver
    noBuffers = engine.noBuffers
    completionsFull = engine.completionsFull
    refillFlushes = engine.refillFlushes
    misplaced = engine.misplaced
    unsplit = engine.unsplit
    salvagedBytes = engine.salvagedBytes
    salvages = engine.salvages
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
    sinkZeroCopyBytes = observed.stage.sinkZeroCopyBytes
    sinkKernelCopiedBytes = observed.stage.sinkKernelCopiedBytes
    sinkLostRecords = observed.stage.sinkLostRecords
    sinkLostBytes = observed.stage.sinkLostBytes
    refusedBytes = observed.stage.refusedBytes
    stageDroppedBytes = observed.stage.stageDroppedBytes
    sinkWaits = observed.stage.sinkWaits
    sinkFullTimes = observed.stage.sinkFullTimes
    sinkSpilledBytes = observed.stage.sinkSpilledBytes
    sinkReplayedBytes = observed.stage.sinkReplayedBytes
    sinkSpillWaits = observed.stage.sinkSpillWaits
    sinkDroppedRecords = observed.stage.sinkDroppedRecords
    sinkDroppedBytes = observed.stage.sinkDroppedBytes
    eventsDropped = observed.eventsDropped
    freeBuffersLow = engine.freeBuffersLow == .max ? nil : engine.freeBuffersLow
  }

  mutating func set(_ truth: ByteTruth) {
    self.truth = truth
    copiedBytes = truth.copied
  }

  /// Adds what a thread with a later part of the chain has counted.
  mutating func add(_ placed: PlacedCounters) {
    faults += placed.faults
    sinkBytes += placed.sink.bytes
    sinkCopiedBytes += placed.sink.copiedBytes
    sinkZeroCopyBytes += placed.sink.zeroCopyBytes
    sinkKernelCopiedBytes += placed.sink.kernelCopiedBytes
    sinkLostRecords += placed.sink.lostRecords
    sinkLostBytes += placed.sink.lostBytes
    refusedBytes += placed.sink.refusedBytes
    stageDroppedBytes += placed.sink.stageDroppedBytes
    sinkWaits += placed.sink.waits
    sinkFullTimes += placed.sink.fullTimes
    sinkSpilledBytes += placed.sink.spilledBytes
    sinkReplayedBytes += placed.sink.replayedBytes
    sinkSpillWaits += placed.sink.spillWaits
    sinkDroppedRecords += placed.sink.droppedRecords
    sinkDroppedBytes += placed.sink.droppedBytes
    eventsDropped += placed.eventsDropped
  }

  /// Adds another thread's counters but their truth, which is more than a sum; the low mark is the
  /// lowest of all.
  mutating func add(_ other: ReceiveCounters, first: Bool) {
    bytes += other.bytes
    completions += other.completions
    leases += other.leases
    batches += other.batches
    enters += other.enters
    records += other.records
    payloadBytes += other.payloadBytes
    handedOver += other.handedOver
    noBuffers += other.noBuffers
    completionsFull += other.completionsFull
    refillFlushes += other.refillFlushes
    misplaced += other.misplaced
    unsplit += other.unsplit
    salvagedBytes += other.salvagedBytes
    salvages += other.salvages
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
    sinkZeroCopyBytes += other.sinkZeroCopyBytes
    sinkKernelCopiedBytes += other.sinkKernelCopiedBytes
    sinkLostRecords += other.sinkLostRecords
    sinkLostBytes += other.sinkLostBytes
    refusedBytes += other.refusedBytes
    stageDroppedBytes += other.stageDroppedBytes
    sinkWaits += other.sinkWaits
    sinkFullTimes += other.sinkFullTimes
    sinkSpilledBytes += other.sinkSpilledBytes
    sinkReplayedBytes += other.sinkReplayedBytes
    sinkSpillWaits += other.sinkSpillWaits
    sinkDroppedRecords += other.sinkDroppedRecords
    sinkDroppedBytes += other.sinkDroppedBytes
    eventsDropped += other.eventsDropped
    if let low = other.freeBuffersLow {
      freeBuffersLow = first ? low : min(freeBuffersLow ?? low, low)
    }
  }
}
