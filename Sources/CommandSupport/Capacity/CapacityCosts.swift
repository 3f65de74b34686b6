/// What receiving costs on a machine, as measured: nanoseconds of CPU time of each part of the way.
///
/// Costs per KiB are for bytes, whatever they come in; costs per completion and per packet are for
/// each of those. A cost that was not measured is 0, and lets the model promise too much.
package struct CapacityCosts: Encodable, Equatable, Sendable {
  /// One part of the chain.
  package struct Part: Encodable, Equatable, Sendable {
    package var name: String
    package var nanosecondsPerKiB: Double

    package init(_ name: String, _ nanosecondsPerKiB: Double) {
      self.name = name
      self.nanosecondsPerKiB = nanosecondsPerKiB
    }
  }

  /// parse, checksum, stages, sink.
  package var parts: [Part] = []
  /// The receiving thread outside the kernel and the parts: waking up, and for each completion
  /// reaping, lease and refill entry. A lease of one piece takes 31 instructions
  /// (tools/gates/chain) and a refill entry 2 ns, which stand here until a run with short buffers
  /// has measured it.
  package var otherNanosecondsPerKiB = 0.0
  package var completionNanoseconds = 10.0
  /// The receiving thread within the kernel, but for what a system call costs by itself: copying
  /// and the socket's own work.
  package var kernelNanosecondsPerKiB = 0.0
  /// The share of that work's bytes which the kernel copied, 0 to 1.
  package var copiedShare = 0.0
  /// One io_uring_enter(2) that finds nothing to do: 120 ns on the machine of tools/hotloop.
  package var systemCallNanoseconds = 120.0
  package var systemCallsPerCompletion = 0.0
  /// Protocol work on the CPUs that take the NIC's interrupts, for bytes and for each packet.
  package var softInterruptNanosecondsPerKiB = 0.0
  package var packetNanoseconds = 0.0
  /// The sending thread, with the kernel's work in its name.
  package var senderNanosecondsPerKiB = 0.0
  /// The longest time from a completion until its lease was given back, and the mean of those that
  /// were held past their batch, over all leases.
  package var longestHoldSeconds = 0.0
  package var meanHoldSeconds = 0.0

  package init() {}

  /// All parts of the chain together.
  package var chainNanosecondsPerKiB: Double {
    parts.reduce(0) { $0 + $1.nanosecondsPerKiB }
  }

  /// The part that costs most.
  package var dearest: Part? {
    parts.max { $0.nanosecondsPerKiB < $1.nanosecondsPerKiB }
  }
}

/// The NIC, host and traffic to plan for.
package struct CapacityWish: Encodable, Equatable, Sendable {
  /// Bits per second on the wire; nil asks for what this machine's path could carry at most.
  package var bitsPerSecond: Double?
  /// Bytes of an IP packet; nil counts no headers, so that all bits are payload.
  package var mtu: Int?
  /// Bytes of one buffer of the area.
  package var bufferBytes = 4096
  /// Bytes of one record.
  package var recordBytes = 65536
  /// Receiving threads (queues), sending threads, and CPUs that take soft interrupts.
  package var threads = 1
  package var senderThreads = 1
  package var softInterruptCPUs = 1
  /// Buffers that the NIC keeps posted for a queue.
  package var ringBuffers = 1024
  /// Bytes of area per thread, where it is given.
  package var areaBytes: Int?
  /// How much more than the mean is planned for: bursts, and neighbours that take CPU time.
  package var headroom = 1.25

  package init() {}

  /// Bytes around the payload of a packet: Ethernet's header, checksum, preamble and gap (14 + 4 +
  /// 8 + 12), IPv4's and TCP's header with timestamps (20 + 32).
  static let frameBytes = 38
  static let headerBytes = 52

  /// Payload bytes of a full packet; without an MTU no packet is counted.
  package var packetPayload: Int? {
    mtu.map { max(1, $0 - CapacityWish.headerBytes) }
  }

  /// The payload's share of the bits on the wire.
  package var payloadShare: Double {
    guard let mtu, let packetPayload else { return 1 }
    return Double(packetPayload) / Double(mtu + CapacityWish.frameBytes)
  }
}
