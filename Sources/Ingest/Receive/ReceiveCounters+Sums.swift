import RingCore
import Stages
import ZeroCopy

// What threads count, as the receiver's own counters.
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
    starved = engine.starved
    salvagedBytes = engine.salvagedBytes
    salvages = engine.salvages
    pauses = engine.pauses
    rearms = engine.rearms
    accepted = engine.accepted
    rejected = engine.rejected
    notAllowed = engine.notAllowed
    peerConnections = engine.peerConnections
    peerBytes = engine.peerBytes
    strangers = engine.strangers
    limited = engine.limited
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
    starved += other.starved
    salvagedBytes += other.salvagedBytes
    salvages += other.salvages
    pauses += other.pauses
    rearms += other.rearms
    accepted += other.accepted
    rejected += other.rejected
    notAllowed += other.notAllowed
    peerConnections += other.peerConnections
    peerBytes += other.peerBytes
    strangers += other.strangers
    limited += other.limited
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
