#if NIO
  public import Ingest
  public import NIOCore
  public import RingCore
  import Synchronization

  /// What a receiver receives, as an asynchronous sequence of batches for SwiftNIO.
  ///
  /// ```swift
  /// let stream = try IngestStream(configuration)
  /// for await batch in stream {
  ///   for case .bytes(let buffer, let connection) in batch { … }
  /// }
  /// ```
  ///
  /// A `ByteBuffer` is the memory that the kernel or the NIC wrote. The last reference to it,
  /// slices included, gives it back to the receiver; writing to one copies it first, as always in
  /// NIO when it has several owners, and growing one copies it into ordinary memory. Buffers that
  /// are kept are missing in the area: at most 4096 are out for each receiving thread, then
  /// receiving waits and TCP's window closes. The sequence ends when the last event was handed out;
  /// the receiver itself, and ``report()``, when the last buffer is back.
  ///
  /// - Cost: an allocation for a buffer (NIO's storage object), and one crossing to the consumer's
  ///   task for a batch.
  public final class IngestStream: AsyncSequence, Sendable {
    /// One thing that happened.
    public enum Event: Sendable {
      case opened(Connection)
      /// Bytes of the connection with this serial number, in order.
      case bytes(ByteBuffer, connection: UInt64)
      case closed(StreamEnd, connection: UInt64)
    }

    public typealias Element = [Event]

    private let receiver: Receiver
    private let stopping = StopOnce()
    private let batches: AsyncStream<[Event]>

    /// Starts to receive. What the configuration says of parse, checksum and sink is not used.
    ///
    /// Errors: as ``Ingest/Receiver/start(tell:)``, and memory that the CPU cannot read.
    public init(_ configuration: ReceiveConfiguration) throws(IngestError) {
      let (batches, continuation) = AsyncStream.makeStream(of: [Event].self)
      self.batches = batches
      // Every thread says when it has no more; the last one ends the sequence.
      let threads = Swift.max(configuration.threads, configuration.queues.count)
      let running = Countdown(threads) { continuation.finish() }
      receiver = try Receiver.answeringElsewhere(configuration) { context in
        StreamStage(context, send: { _ = continuation.yield($0) }, finish: { running.down() })
      }
      // Elements that nobody asks for any more go, and their buffers with them.
      continuation.onTermination = { [receiver, stopping] _ in stopping.ask(receiver) }
      try receiver.start()
    }

    /// Where it listens.
    public var endpoints: [Endpoint] { receiver.endpoints }
    public var counters: ReceiveCounters { receiver.snapshot() }

    /// Ends once what the sockets hold was received and every buffer is back.
    public func stop() { stopping.ask(receiver) }

    /// What it came to. Waits until every buffer is back, so let go of them first.
    public func report() -> ReceiveReport { receiver.finish() }

    public func makeAsyncIterator() -> AsyncStream<[Event]>.Iterator {
      batches.makeAsyncIterator()
    }
  }

  /// Stops a receiver at most once: a second request would force the end, with the area unmapped
  /// under buffers that are still out.
  private final class StopOnce: Sendable {
    private let isAsked = Atomic<Bool>(false)

    func ask(_ receiver: Receiver) {
      if !isAsked.exchange(true, ordering: .acquiringAndReleasing) { receiver.stop() }
    }
  }

  /// Calls a closure when it was counted down to nothing.
  private final class Countdown: Sendable {
    private let left: Atomic<Int>
    private let body: @Sendable () -> Void

    init(_ count: Int, _ body: @escaping @Sendable () -> Void) {
      left = Atomic(count)
      self.body = body
    }

    func down() {
      if left.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue == 0 { body() }
    }
  }
#endif
