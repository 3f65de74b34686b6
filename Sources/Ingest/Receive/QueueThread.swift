import CIngestKernel
import Glibc
public import RingCore
import Synchronization
public import ZeroCopy

/// What a stage is made for: one thread with one ring and one area.
public struct StageContext: @unchecked Sendable {
  // Sendable: plain words but for the area's address, which is good on every thread.
  /// Which thread of the receiver, from 0, and of how many.
  public let thread: Int
  public let threads: Int
  /// Connection slots are below this.
  public let maxConnections: Int
  /// The most leases the stage may hold at a time.
  public let holdLimit: Int
  public let layout: AreaLayout
  /// The memory that leases name. It outlives the stage.
  public let area: AreaMemory
  /// Items between two threads of a spread chain.
  @usableFromInline let ringCapacity: Int
  /// The eventfd that wakes the receiving thread.
  @usableFromInline package let waker: Int32
  /// The area for another process to map, read-only; nil unless the sink asks for one.
  public let sharedArea: Int32?
  /// What the run is asked for; a stage that waits must look at it.
  public let control: EngineControl
  /// Who processes of the chain become, as NUMBER:NUMBER; nil where privileges are kept.
  let drop: String?
}

/// One receiving thread: pins itself, sets an engine up, makes its stage and runs.
@usableFromInline
final class QueueThread: Sendable {
  /// What the thread runs, specialised for its stage where the receiver was made.
  @usableFromInline
  struct Body: Sendable {
    @usableFromInline let run: @Sendable (QueueThread) throws(IngestError) -> Void
    /// Leases are answered for on other threads or once they were gathered, so that many may come
    /// back within one batch.
    let answersElsewhere: Bool

    @usableFromInline
    init(
      answersElsewhere: Bool = false,
      _ run: @escaping @Sendable (QueueThread) throws(IngestError) -> Void
    ) {
      self.answersElsewhere = answersElsewhere
      self.run = run
    }
  }

  let index: Int
  let cpu: Int32
  @usableFromInline let configuration: ReceiveConfiguration
  /// Sockets that it accepts on, at least one.
  let listeners: [Int32]
  let control: EngineControl
  let body: Body
  let plan: EnginePlan
  let shares: QueueShares
  let exchange: SocketExchange?
  /// What the thread gives up before it accepts; nil keeps everything.
  let gate: PrivilegeGate?
  /// Who may connect, and how much of them is taken.
  let peers: PeerGate?
  /// Where it records what it does, and the kernel whose deeds it does again.
  let recording: FlightRecording?
  let replay: ReplayKernel?
  @usableFromInline let shared = SharedCounters(EngineCounters())
  @usableFromInline let published = SharedCounters(ObservedTotals())
  @usableFromInline let events = SPSCRing<ReceiveEvent>(capacity: QueueThread.eventCapacity)
  private let consumer: Mutex<SPSCConsumer<ReceiveEvent>>
  private let state = Mutex(State())

  /// Room for the openings and closings of a full connection table between two looks of the
  /// control thread.
  static let eventCapacity = 16384
  /// Leases the file sink and other holders may have out: with 64 KiB buffers 256 MiB.
  static let holdLimit = 4096

  /// The most entries of a completion queue (the kernel's limit).
  static let mostCompletions = 65536
  /// 288 KiB, or about a thousand leases of one piece each before the receiving thread waits.
  static let ringCapacity = 4096

  struct State {
    var placed: [PlacedThread] = []
    var handle: UInt64?
    /// The kernel's number of the thread, while it runs.
    var number: Int32 = 0
    /// The engine closes the listening sockets; until there is one they are this thread's.
    var engineHasListener = false
    var ready = false
    var finished = false
    var failure: IngestError?
    var failures: [String] = []
    var notices: [String] = []
    var remarks: [String] = []
    var mode = ""
    var cpuNanoseconds: UInt64 = 0
  }

  init(
    index: Int, cpu: Int32, configuration: ReceiveConfiguration, listeners: [Int32],
    control: EngineControl, body: Body, plan: EnginePlan, shares: QueueShares,
    exchange: SocketExchange?, gate: PrivilegeGate?, peers: PeerGate? = nil,
    recording: FlightRecording? = nil, replay: ReplayKernel? = nil
  ) {
    self.index = index
    self.cpu = cpu
    self.configuration = configuration
    self.listeners = listeners
    self.control = control
    self.body = body
    self.plan = plan
    self.shares = shares
    self.exchange = exchange
    self.gate = gate
    self.peers = peers
    self.recording = recording
    self.replay = replay
    consumer = Mutex(events.takeConsumer())
  }

  /// Starts the thread and waits until it accepts connections or has failed.
  func start(tell: (String) -> Void = { _ in }) -> IngestError? {
    var handle: UInt64 = 0
    let context = unsafe Unmanaged.passRetained(self).toOpaque()
    let error = unsafe ik_thread_start(
      &handle,
      { context in unsafe Unmanaged<QueueThread>.fromOpaque(context).takeRetainedValue().main() },
      context)
    guard error == 0 else {
      unsafe Unmanaged<QueueThread>.fromOpaque(context).release()
      return IngestError(
        .failed, "cannot start a thread: \(unsafe String(cString: strerror(-error)))")
    }
    state.withLock { $0.handle = handle }
    while true {
      let (ready, finished, failure) = state.withLock { ($0.ready, $0.finished, $0.failure) }
      for notice in takeNotices() { tell(notice) }
      if ready || finished { return failure }
      usleep(500)
    }
  }

  private func takeNotices() -> [String] {
    state.withLock { state in
      defer { state.notices = [] }
      return state.notices
    }
  }

  private func main() {
    unsafe "ingest-\(index)".withCString { unsafe ik_thread_name($0) }
    do throws(IngestError) {
      let error = ik_thread_pin(cpu)
      guard error == 0 else { throw Placement.refusal(cpu, error: -error) }
      state.withLock { $0.number = ik_thread_number() }
      try body.run(self)
    } catch {
      state.withLock { $0.failure = error }
    }
    closeListener()
    state.withLock { state in
      state.cpuNanoseconds = ik_thread_cpu_ns()
      state.number = 0
      state.finished = true
    }
  }

  /// Sets up the engine and the stage and runs until asked to stop. Called on the thread.
  @inlinable
  func run<S: Stage & ~Copyable>(
    _ makeStage: (StageContext) throws(IngestError) -> S
  ) throws(IngestError) {
    if usesCopyEngine {
      var engine = try makeCopyEngine()
      let mode = "copy/\(engine.mode.rawValue)"
      for text in engine.remarks { remark(text) }
      try drive(
        &engine,
        context(
          of: engine.area.layout, area: engine.area, shared: engine.sharedArea,
          waker: engine.waker),
        mode: mode, isReadable: engine.areaIsReadable, makeStage)
    } else {
      var engine = try makeZeroCopyEngine()
      try drive(
        &engine,
        context(
          of: engine.area.layout, area: engine.area, shared: engine.sharedArea,
          waker: engine.waker),
        mode: zeroCopyMode, isReadable: engine.areaIsReadable, makeStage)
    }
  }

  @usableFromInline var usesCopyEngine: Bool { plan.engine == .copy }
  @usableFromInline var zeroCopyMode: String { plan.engine == .deviceless ? "nodev" : "zcrx" }

  @inlinable
  func drive<E: ReceiveEngine & ~Copyable, S: Stage & ~Copyable>(
    _ engine: inout E, _ context: StageContext, mode: String, isReadable: Bool,
    _ makeStage: (StageContext) throws(IngestError) -> S
  ) throws(IngestError) {
    var stage = ObservedStage(
      try makeStage(context), events: events.takeProducer(), published: published)
    do throws(IngestError) {
      try configuration.checkReadable(isReadable, stageReads: stage.readsPayload)
      try dropPrivileges()
    } catch {
      stage.stop()
      throw error
    }
    announce(mode: mode)
    awaitGate()
    engine.run(&stage)
    #if DEBUG
      conclude(stage.failures() + [engine.leaks()].compactMap(\.self))
    #else
      conclude(stage.failures())
    #endif
  }

  @usableFromInline
  func context(
    of layout: AreaLayout, area: AreaMemory, shared: Int32?, waker: Int32
  ) -> StageContext {
    StageContext(
      thread: index, threads: plan.threads,
      maxConnections: configuration.maxConnections,
      holdLimit: QueueThread.holdLimit, layout: layout, area: area,
      ringCapacity: QueueThread.ringCapacity, waker: waker, sharedArea: shared, control: control,
      drop: gate?.user)
  }

  @usableFromInline
  func announce(mode: String) {
    state.withLock { state in
      state.mode = mode
      state.ready = true
    }
  }

  /// Everything is open that this thread needs.
  @usableFromInline
  func dropPrivileges() throws(IngestError) { try gate?.dropThread() }

  /// Nobody accepts before all threads have given up what they had.
  @usableFromInline
  func awaitGate() { gate?.wait() }

  @usableFromInline
  func remark(_ text: String) { state.withLock { $0.remarks.append(text) } }

  /// Told while the thread is still being started.
  func notice(_ text: String) { state.withLock { $0.notices.append(text) } }

  func engineHasListener() { state.withLock { $0.engineHasListener = true } }

  @usableFromInline
  func conclude(_ sentences: [String]) { state.withLock { $0.failures = sentences } }

  /// Closes the listening sockets where no engine took them over; once.
  func closeListener() {
    let taken = state.withLock { state in
      defer { state.engineHasListener = true }
      return state.engineHasListener
    }
    if !taken { listeners.forEach { ik_close_owned($0) } }
  }

  func join() {
    guard let handle = state.withLock({ $0.handle.take() }) else { return }
    _ = ik_thread_join(handle)
  }

  func drainEvents(_ body: (ReceiveEvent) -> Void) {
    // A stream's end is told by the last thread of a chain and its beginning by the first: what the
    // last ones told is taken first and handed out last, so that no end comes before its beginning.
    var later: [[ReceiveEvent]] = []
    for thread in placed.reversed() {
      var events: [ReceiveEvent] = []
      thread.drainEvents { events.append($0) }
      later.append(events)
    }
    consumer.withLock { consumer in
      _ = consumer.drain { body($0) }
    }
    for events in later.reversed() { events.forEach(body) }
  }

  /// Threads that run later parts of this one's chain, in order.
  var placed: [PlacedThread] { state.withLock { $0.placed } }
  /// Each is added after those behind it in the chain, which it starts itself.
  @usableFromInline
  func add(_ thread: PlacedThread) { state.withLock { $0.placed.insert(thread, at: 0) } }

  var isFinished: Bool { state.withLock { $0.finished } }
  var number: Int32 { state.withLock { $0.number } }
  var failure: IngestError? { state.withLock { $0.failure } }
  var failures: [String] { state.withLock { $0.failures } }
  var remarks: [String] { state.withLock { $0.remarks } }
  var mode: String { state.withLock { $0.mode } }
  var cpuNanoseconds: UInt64 {
    placed.reduce(state.withLock { $0.cpuNanoseconds }) { $0 + $1.cpuNanoseconds }
  }
  var engineCounters: EngineCounters { shared.snapshot() }

  var counters: ReceiveCounters {
    var counters = ReceiveCounters(engine: shared.snapshot(), observed: published.snapshot())
    for thread in placed { counters.add(thread.counters) }
    return counters
  }
}
