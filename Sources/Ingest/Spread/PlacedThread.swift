import CIngestKernel
import Glibc
public import RingCore
public import Stages
import Synchronization
public import ZeroCopy

/// A thread that runs a later part of a receiving thread's chain, with a ring of its own for what
/// the sink has the kernel do.
@usableFromInline
final class PlacedThread: Sendable {
  @usableFromInline let name: String
  let cpu: Int32
  @usableFromInline let crossing: Crossing
  @usableFromInline let context: StageContext
  let control: EngineControl
  @usableFromInline let events = SPSCRing<ReceiveEvent>(capacity: QueueThread.eventCapacity)
  private let consumer: Mutex<SPSCConsumer<ReceiveEvent>>
  @usableFromInline let published = SharedCounters(PlacedCounters())
  private let state = Mutex(State())
  private let gate: PrivilegeGate?
  private let body: @Sendable (PlacedThread) throws(IngestError) -> Void

  private struct State {
    var handle: UInt64?
    /// The kernel's number of the thread, while it runs.
    var number: Int32 = 0
    var isReady = false
    var isFinished = false
    var readsPayload = false
    var failure: IngestError?
    var sentences: [String] = []
    var cpuNanoseconds: UInt64 = 0
  }

  /// `context` is the receiving thread's; `back` wakes the thread before this one.
  init(
    _ name: String, cpu: Int32, context: StageContext, control: EngineControl, back: Doorbell,
    gate: PrivilegeGate?, body: @escaping @Sendable (PlacedThread) throws(IngestError) -> Void
  ) throws(IngestError) {
    let waker = ik_event_descriptor()
    guard waker >= 0 else {
      throw IngestError(
        .failed, "cannot make an eventfd: \(unsafe String(cString: strerror(-waker)))",
        remedy: "raise the limit of open files: `ulimit -n`")
    }
    self.name = name
    self.cpu = cpu
    self.context = context
    self.control = control
    self.gate = gate
    self.body = body
    crossing = Crossing(
      capacity: context.ringCapacity, limit: context.holdLimit,
      buffers: Int(context.layout.bufferCount), maxConnections: context.maxConnections,
      there: Doorbell(descriptor: waker), back: back,
      isAborted: { control.current == EngineControl.Request.abort.rawValue })
    consumer = Mutex(events.takeConsumer())
  }

  deinit { close(crossing.there.descriptor) }

  /// Starts the thread and waits until it takes items. Errors: no such CPU, and what its part of
  /// the chain says.
  func start() throws(IngestError) {
    var handle: UInt64 = 0
    let pointer = unsafe Unmanaged.passRetained(self).toOpaque()
    let error = unsafe ik_thread_start(
      &handle,
      { pointer in
        unsafe Unmanaged<PlacedThread>.fromOpaque(pointer).takeRetainedValue().main()
      }, pointer)
    guard error == 0 else {
      unsafe Unmanaged<PlacedThread>.fromOpaque(pointer).release()
      throw IngestError(
        .failed, "cannot start a thread: \(unsafe String(cString: strerror(-error)))")
    }
    state.withLock { $0.handle = handle }
    while true {
      let (ready, finished, failure) = state.withLock { ($0.isReady, $0.isFinished, $0.failure) }
      if finished { join() }
      if let failure { throw failure }
      if ready || finished { return }
      usleep(200)
    }
  }

  private func main() {
    unsafe "ingest-\(context.thread)-\(name)".withCString { unsafe ik_thread_name($0) }
    do throws(IngestError) {
      let error = ik_thread_pin(cpu)
      guard error == 0 else { throw Placement.refusal(cpu, error: -error) }
      state.withLock { $0.number = ik_thread_number() }
      try body(self)
    } catch {
      state.withLock { $0.failure = error }
    }
    // Whoever hands over must not wait for this thread any more.
    crossing.end()
    state.withLock { state in
      state.cpuNanoseconds = ik_thread_cpu_ns()
      state.number = 0
      state.isFinished = true
    }
  }

  /// Items come once the receiving threads accept.
  @usableFromInline
  func dropPrivileges() throws(IngestError) { try gate?.dropThread() }

  @usableFromInline
  func announce(readsPayload: Bool) {
    state.withLock { state in
      state.readsPayload = readsPayload
      state.isReady = true
    }
  }

  @usableFromInline
  func conclude(_ sentences: [String]) { state.withLock { $0.sentences = sentences } }

  private func join() {
    guard let handle = state.withLock({ $0.handle.take() }) else { return }
    _ = ik_thread_join(handle)
  }

  /// Waits for the end, which was asked for by an item; what went wrong, as sentences.
  func end() -> [String] {
    join()
    return state.withLock { state in
      state.sentences + [state.failure].compactMap { $0?.description }
    }
  }

  var number: Int32 { state.withLock { $0.number } }
  var readsPayload: Bool { state.withLock { $0.readsPayload } }
  var cpuNanoseconds: UInt64 { state.withLock { $0.cpuNanoseconds } }
  var counters: PlacedCounters { published.snapshot() }
  /// Items that wait for it, whether it moves or not.
  var waiting: UInt64 { UInt64(crossing.itemCount) }

  func drainEvents(_ body: (ReceiveEvent) -> Void) {
    consumer.withLock { consumer in _ = consumer.drain { body($0) } }
  }
}

/// What a ``PlacedThread`` counts, as plain words.
@usableFromInline
struct PlacedCounters: BitwiseCopyable, Sendable {
  @usableFromInline var sink = SinkCounters()
  @usableFromInline var faults: UInt64 = 0
  @usableFromInline var eventsDropped: UInt64 = 0
  /// Items done, bursts of them, and the nanoseconds that took.
  @usableFromInline var items: UInt64 = 0
  @usableFromInline var bursts: UInt64 = 0
  @usableFromInline var busyNanoseconds: UInt64 = 0
  /// Times that the thread went to sleep.
  @usableFromInline var sleeps: UInt64 = 0
  /// The most items that ever waited.
  @usableFromInline var deepest: UInt64 = 0
  @usableFromInline var meter = Meter.Totals()

  @usableFromInline
  init() {}
}

extension PlacedThread {
  /// Runs a part of the chain until it is told to stop. Called on the thread.
  @inlinable
  func run<Rest: Downstream & ~Copyable>(_ rest: consuming Rest) throws(IngestError) {
    var loop = try PlacedLoop(rest, self)
    try dropPrivileges()
    announce(readsPayload: loop.chain.rest.readsPayload)
    loop.run()
  }
}

extension QueueThread {
  /// Starts a thread for a later part of this thread's chain, and gives what hands over to it.
  ///
  /// `back` wakes the thread that hands over where that is not this one. `body` runs on the new
  /// thread, with the doorbell that wakes it.
  @usableFromInline
  func handOver(
    _ context: StageContext, to name: String, at place: PlaceSpecification.Place,
    back: Doorbell? = nil,
    _ body: @escaping @Sendable (PlacedThread, Doorbell) throws(IngestError) -> Void
  ) throws(IngestError) -> HandOver {
    guard case .cpus(let cpus) = place else {
      throw IngestError(.usage, "\(name) has no CPU to run on", remedy: "--place \(name)=cpu1")
    }
    let placed = try PlacedThread(
      name, cpu: Int32(clamping: cpus[context.thread % cpus.count]), context: context,
      control: control, back: back ?? Doorbell(descriptor: context.waker), gate: gate
    ) { thread throws(IngestError) in try body(thread, thread.crossing.there) }
    try placed.start()
    add(placed)
    return HandOver(
      placed.crossing, sleeps: back == nil, readsPayload: placed.readsPayload,
      finish: { placed.end() })
  }
}
