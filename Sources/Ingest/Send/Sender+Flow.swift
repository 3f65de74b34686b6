import CIngestKernel

/// What held a sender's TCP connections back so far, over all of them; each only grows but the
/// round trip.
public struct SendFlow: Codable, Sendable, Equatable {
  public var streams = 0
  /// Seconds, summed over streams, in which data waited to be sent or acknowledged; and those of
  /// them for want of the receiver's window, and for want of room in the send buffer.
  public var busySeconds = 0.0
  public var windowSeconds = 0.0
  public var bufferSeconds = 0.0
  public var retransmits: UInt64 = 0
  /// Seconds of the longest smoothed round trip.
  public var roundTripSeconds = 0.0

  public init() {}

  mutating func add(_ flow: ik_flow) {
    streams += 1
    busySeconds += Double(flow.busy_us) / 1e6
    windowSeconds += Double(flow.window_us) / 1e6
    bufferSeconds += Double(flow.buffer_us) / 1e6
    retransmits += UInt64(flow.retransmits)
    roundTripSeconds = max(roundTripSeconds, Double(flow.round_trip_us) / 1e6)
  }
}

extension Sender {
  /// The clocks of all streams (TCP_INFO), by one getsockopt(2) each; none before ``start()``,
  /// after ``finish()`` and of UDP.
  public func flow() -> SendFlow {
    var total = SendFlow()
    for descriptor in descriptors {
      var flow = ik_flow()
      if unsafe ik_tcp_flow(descriptor, &flow) == 0 { total.add(flow) }
    }
    return total
  }
}
