// What leases, completions and unread bytes need, and may run out of.
extension SaturationRule {
  /// A receive buffer that was asked for and closes TCP's window, though the receiver has time.
  static func smallWindow(_ seen: SaturationEvidence) -> SaturationFinding? {
    guard seen.socketBuffer > 0, seen.flow.window >= windowWaits, seen.receiver.busy < hasTime,
      seen.receiver.waiting < starved, seen.handling < partShare
    else { return nil }
    return SaturationFinding(
      .ring(.window), seen.receiver.busy < nearlyUsedUp ? .high : .medium,
      [
        "the sender waited for the receiver's window for \(percent(seen.flow.window)) of the time, "
          + "which --socket-buffer \(seen.socketBuffer) bounds",
        "the receiving thread is busy for \(percent(seen.receiver.busy))",
      ])
  }

  /// Buffers and entries that run out.
  static func shortage(_ seen: SaturationEvidence) -> SaturationFinding? {
    let ring = seen.ring
    let all = Double(max(ring.completions, 1))
    let buffers = Double(ring.pauses + ring.noBuffers) / all
    let full = Double(ring.completionsFull) / all
    let flushes = Double(ring.refillFlushes) / all
    if full >= shortage && full >= buffers {
      return SaturationFinding(
        .ring(.completions), full >= 2 * shortage ? .high : .medium,
        [
          "the completion queue was full \(plural(ring.completionsFull, "time")), for "
            + "\(plural(ring.completions, "completion"))"
        ])
    }
    if buffers >= shortage {
      let text =
        "no buffer was free \(plural(ring.pauses + ring.noBuffers, "time")), for "
        + "\(plural(ring.completions, "completion")), in an area of "
        + plural(UInt64(ring.buffers), "buffer")
      if ring.heldShare >= held || seen.sinkWaits * 4 > ring.pauses {
        let holder = seen.slowest.map { $0.name == "stage" ? "stage" : "sink" } ?? "sink"
        return SaturationFinding(
          .stage(holder), ring.heldShare >= partShare ? .high : .medium,
          [text, "stages held \(percent(ring.heldShare)) of them on average"])
      }
      // A part that takes the whole time would let any area run full.
      if let slow = seen.slowest, slow.share >= usedUp { return nil }
      return SaturationFinding(
        .ring(.area), buffers >= 2 * shortage ? .high : .medium, [text])
    }
    if flushes >= partShare {
      return SaturationFinding(
        .ring(.refill), .medium,
        ["the kernel was called \(plural(ring.refillFlushes, "time")) to empty the refill ring"])
    }
    return nil
  }

  /// An area that is emptied with each look at it: no receive fails, but the next has to wait for
  /// the batch to come back.
  static func emptied(_ seen: SaturationEvidence) -> SaturationFinding? {
    guard seen.ring.freeLow == 0, seen.flow.window >= windowWaits,
      seen.receiver.busy < nearlyUsedUp, seen.handling < 0.3, seen.ring.heldShare < held
    else { return nil }
    return SaturationFinding(
      .ring(.area), seen.receiver.busy < partShare ? .high : .medium,
      [
        "no buffer was free of the \(seen.ring.buffers) of the area, and the sender waited for the "
          + "receiver's window for \(percent(seen.flow.window)) of the time",
        "the receiving thread is busy for \(percent(seen.receiver.busy))",
      ])
  }

  /// A sink that holds what it was given, while the sender waits: it gives back too slowly.
  static func holding(_ seen: SaturationEvidence) -> SaturationFinding? {
    guard seen.ring.heldShare >= held, seen.flow.window >= windowWaits,
      seen.receiver.busy < nearlyUsedUp
    else { return nil }
    return SaturationFinding(
      .stage("sink"), seen.ring.heldShare >= partShare ? .high : .medium,
      [
        "stages held \(percent(seen.ring.heldShare)) of the \(seen.ring.buffers) buffers on "
          + "average, and the sender waited for the receiver's window for "
          + percent(seen.flow.window)
      ])
  }
}
