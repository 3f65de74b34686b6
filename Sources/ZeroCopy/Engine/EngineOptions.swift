public import RingCore

/// What every engine is told, whatever its leases come from.
public struct EngineOptions: Sendable {
  /// Wait for this many completions, but no longer than `minimumWait` microseconds once one came.
  /// A quarter of the area's buffers is the most that is waited for: without a free one nothing
  /// completes, and the wait would go on for its whole time. A copying engine shortens that where
  /// its buffers are taken sooner (``WaitPace``).
  public var waitBatch: UInt32 = 32
  public var minimumWait: UInt32 = 200
  /// Connections at a time. One more is answered with a reset.
  public var maxConnections: Int = 4096
  /// Who may connect, and how much of them is taken; nil is everybody and everything. Shared by the
  /// engines of a receiver.
  public var peers: PeerGate?
  /// Listening sockets besides the one that an engine is given, at most 31, owned like that one.
  public var moreListeners: [Int32] = []
  /// Where descriptors may run short: connections are accepted one at a time, and only while so
  /// many are free; further peers wait in the backlog. 0 accepts whoever comes.
  public var descriptorReserve: Int = 0
  /// Leases that stages may hold at a time.
  public var holdLimit: Int = 4096
  /// Leases that may come back within one batch, and connections refused in it, where stages on
  /// other threads answer for them; 0 is what stages on this thread need.
  public var returnLimit: Int = 0
  public var refusalLimit: Int = 0

  /// Serial numbers of connections: the first, and the step to the next. Engines that work together
  /// share the numbers out, so that each names one connection of the whole receiver.
  public var firstSerial: UInt64 = 1
  public var serialStep: UInt64 = 1

  /// Poll the NIC's NAPI for this many microseconds while waiting (IORING_REGISTER_NAPI, 6.9);
  /// 0 leaves it to interrupts.
  public var busyPoll: UInt32 = 0

  /// Where the engine's thread records what it does; its memory outlives the engine.
  public var recorder = FlightRecorder()

  public init() {}

  /// Completions to wait for where there are so many buffers.
  package func batch(buffers: UInt32) -> UInt32 { max(1, min(waitBatch, buffers / 4)) }
}
