/// What was seen of both ends while bytes moved, over one window of time. Shares are of the
/// window's time, 0 to 1.
package struct SaturationEvidence: Encodable, Equatable, Sendable {
  /// A thread, as the scheduler saw it.
  package struct Thread: Encodable, Equatable, Sendable {
    /// On a CPU, and runnable without one: other work had it.
    package var running = 0.0
    package var waiting = 0.0
    /// Of the running time, the kernel's part, with soft interrupts that came amid it; 0 to 1.
    package var kernelShare = 0.0

    package init() {}

    /// Not idle.
    package var busy: Double { running + waiting }
  }

  /// A CPU.
  package struct CPU: Encodable, Equatable, Sendable {
    package var number = 0
    package var idle = 1.0
    package var softInterrupts = 0.0
    /// Taken by the host of a virtual machine.
    package var stolen = 0.0

    package init() {}
  }

  /// Time of one part of the chain on its thread, waiting for others included.
  package struct Part: Encodable, Equatable, Sendable {
    package var name: String
    /// `own`, or the thread it was placed on.
    package var place: String
    package var share: Double

    package init(_ name: String, place: String = "own", share: Double) {
      self.name = name
      self.place = place
      self.share = share
    }
  }

  /// What the sender's sockets waited for (TCP_INFO), the mean of all streams.
  package struct Flow: Encodable, Equatable, Sendable {
    /// Data waited to be sent or acknowledged; of that time, for the receiver's window, and for
    /// room in the send buffer.
    package var busy = 0.0
    package var window = 0.0
    package var buffer = 0.0
    package var retransmits: UInt64 = 0
    package var roundTripSeconds = 0.0

    package init() {}
  }

  /// What the receiver ran out of.
  package struct Ring: Encodable, Equatable, Sendable {
    package var completions: UInt64 = 0
    /// Receives that paused for want of buffers, times that the NIC found none, that the completion
    /// queue was full, and that the refill ring was full or had to be flushed.
    package var pauses: UInt64 = 0
    package var noBuffers: UInt64 = 0
    package var completionsFull: UInt64 = 0
    package var refillFlushes: UInt64 = 0
    /// Leases that stages held, in the mean, over the buffers of the areas.
    package var heldShare = 0.0
    package var buffers = 0
    /// The fewest that were free at the end of a batch, since the start of the run; nil where only
    /// the kernel knows.
    package var freeLow: UInt64?

    package init() {}
  }

  /// Seconds of the window.
  package var seconds = 0.0
  package var bytes: UInt64 = 0
  /// The busiest thread of each end, and its CPU.
  package var sender = Thread()
  package var receiver = Thread()
  package var senderCPU = CPU()
  package var receiverCPU = CPU()
  /// The CPU with most soft interrupts.
  package var softCPU = CPU()
  /// Packets handed up by NET_RX a second, as /proc/softirqs counts its runs.
  package var softRunsPerSecond = 0.0
  /// The receiving thread was within a batch: parse to sink.
  package var handling = 0.0
  package var parts: [Part] = []
  package var flow = Flow()
  package var ring = Ring()
  /// Times that a thread waited for the sink or the next part of the chain.
  package var sinkWaits: UInt64 = 0
  /// Bytes that the kernel copied into the area, of all.
  package var copiedShare = 0.0
  /// What the sender was told to keep to; bits per second.
  package var askedRate: Double?
  /// SO_RCVBUF that the receiver was told to set; 0 is TCP's own choice.
  package var socketBuffer = 0

  package init() {}

  package var bitsPerSecond: Double { seconds > 0 ? Double(bytes) * 8 / seconds : 0 }
  /// The part that took most time.
  package var slowest: Part? { parts.max { $0.share < $1.share } }
  /// The same where no other part of its thread has nearly as much: three quarters.
  package var outstanding: Part? {
    guard let slowest else { return nil }
    let isAlone = parts.allSatisfy {
      $0.name == slowest.name || $0.place != slowest.place || $0.share < slowest.share * 0.75
    }
    return isAlone ? slowest : nil
  }
}

/// What a run was limited by, and why that is believed.
package struct SaturationFinding: Encodable, Equatable, Sendable {
  package enum Confidence: String, Encodable, Sendable { case high, medium, low }

  package var limiter: Limiter
  package var confidence: Confidence
  /// Sentences.
  package var reasons: [String]

  package init(_ limiter: Limiter, _ confidence: Confidence, _ reasons: [String]) {
    self.limiter = limiter
    self.confidence = confidence
    self.reasons = reasons
  }
}
