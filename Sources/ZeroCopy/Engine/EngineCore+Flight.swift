import CIngestKernel
import RingCore

// What the flight recorder is told: once per batch, or once per event that is none of a lease's.
extension EngineCore {
  /// A batch begins: how it was waited for, and its completions as the kernel posted them, before
  /// any of them is handled. `free` is what the kernel has left of buffers to fill.
  ///
  /// - Cost: some 75 instructions, and about 4 for each completion.
  @usableFromInline @inline(never)
  mutating func recordBatch(_ ready: UInt32, free: UInt32) {
    guard recorder.isOn else { return }
    if waitError != 0 || waited != recordedWait { recordWait() }
    recorder.append(state(.batch, ready, free: free), ring.completions, count: ready)
  }

  @inline(never)
  private mutating func recordWait() {
    recordedWait = waited
    recorder.append(
      FlightEvent(
        .wait, index: waited.completions, waited.timeoutNanoseconds,
        UInt64(waited.minimumMicroseconds), UInt64(UInt32(bitPattern: waitError))))
  }

  @inline(__always)
  private func state(_ kind: FlightEvent.Kind, _ index: UInt32, free: UInt32) -> FlightEvent {
    FlightEvent(
      kind, index: index, batch.now,
      holds.held & 0xffff_ffff | UInt64(paused.count) << 32,
      UInt64(free) | counters.leases << 32)
  }

  /// The run is over.
  @usableFromInline
  mutating func recordEnd() { recorder.append(state(.ended, 0, free: 0)) }

  /// A stage holds a lease.
  @usableFromInline @inline(never)
  mutating func hold(_ offset: UInt64, length: UInt32, connection slot: UInt32) {
    holds.hold(offset, length: length, now: batch.now)
    recorder.append(FlightEvent(.held, index: slot, offset, UInt64(length)))
  }

  @usableFromInline
  mutating func recordReturns() { batch.recordReturns(in: &recorder) }

  @usableFromInline
  mutating func recordFlush(_ errno: Int32, unread: UInt32) {
    recorder.append(FlightEvent(.flushed, UInt64(UInt32(bitPattern: errno)), UInt64(unread)))
  }

  mutating func recordClose(_ slot: UInt32, _ end: StreamEnd) {
    var errno: Int32 = 0
    if case .failed(let code) = end { errno = code }
    recorder.append(
      FlightEvent(
        .closed, detail: end.code, index: slot, table[slot].connection.serial, table[slot].bytes,
        UInt64(UInt32(bitPattern: errno))))
  }
}

extension CopyEngine {
  /// What a recording says of this engine.
  public var flightShape: FlightTrack.Shape {
    var shape = FlightTrack.Shape(
      .copy, layout: layout, completionEntries: core.ring.completions.capacity,
      holdLimit: core.options.holdLimit, maxConnections: core.options.maxConnections)
    shape.mode = mode
    shape.bundles = mode.usesBundles(with: core.ring.features)
    return shape
  }
}

extension ZeroCopyEngine {
  /// What a recording says of this engine.
  public var flightShape: FlightTrack.Shape {
    var shape = FlightTrack.Shape(
      area.isDeviceless ? .nodev : .zcrx, layout: layout,
      completionEntries: core.ring.completions.capacity, holdLimit: core.options.holdLimit,
      maxConnections: core.options.maxConnections)
    shape.refillEntries = refill.ringCapacity
    shape.takesCopies = area.takesCopies
    return shape
  }
}
