import CIngestKernel
import Glibc
public import Privilege
public import RingCore
import Synchronization
import ZeroCopy

/// Receives TCP streams on threads of its own and runs a stage over them.
///
/// ```swift
/// let receiver = try Receiver(configuration) { _ in MyStage() }
/// try receiver.start()
/// let report = receiver.finish()
/// ```
///
/// Letting go of a running receiver does not stop its threads: call ``stop()``, then
/// ``finish(within:)``.
/// Each thread owns one ring, one area and one copy of the stage; connections are spread over the
/// threads by the kernel (SO_REUSEPORT). The methods may be called from any one thread that is not
/// a receiving one.
public final class Receiver: Sendable {
  public let configuration: ReceiveConfiguration
  let body: QueueThread.Body
  private let chainRemarks: [String]
  let plan: EnginePlan
  private let state = Mutex(State())
  private let control = Mutex(EngineControl())

  private struct State {
    var threads: [QueueThread] = []
    var endpoints: [Endpoint] = []
    var startedAt: UInt64 = 0
    var stopAsked = false
    var nic: NICSetup?
    var meter: TruthMeter?
    var interface: InterfaceWatch?
    var interfaceIsGone = false
    var gate: PrivilegeGate?
    var recording: FlightRecording?
  }

  /// Prepares a receiver whose threads each run a stage made by `makeStage`.
  ///
  /// `makeStage` is called once per thread, on that thread, before the first connection.
  /// Errors: values that make no sense, with the flag that sets them.
  @inlinable
  public convenience init<S: Stage & ~Copyable & SendableMetatype>(
    _ configuration: ReceiveConfiguration,
    stage makeStage: @escaping @Sendable (StageContext) throws(IngestError) -> S
  ) throws(IngestError) {
    try self.init(
      configuration,
      body: QueueThread.Body { thread throws(IngestError) in try thread.run(makeStage) })
  }

  /// A receiver for a stage whose leases come back from other threads.
  @inlinable
  package static func answeringElsewhere<S: Stage & ~Copyable & SendableMetatype>(
    _ configuration: ReceiveConfiguration,
    stage makeStage: @escaping @Sendable (StageContext) throws(IngestError) -> S
  ) throws(IngestError) -> Receiver {
    try Receiver(
      configuration,
      body: QueueThread.Body(answersElsewhere: true) { thread throws(IngestError) in
        try thread.run(makeStage)
      })
  }

  @usableFromInline
  init(
    _ configuration: ReceiveConfiguration, body: QueueThread.Body, remarks: [String] = []
  ) throws(IngestError) {
    try configuration.validate()
    let configuration = try configuration.withGivenArea()
    plan = try EnginePlan(configuration)
    try configuration.checkMemory(plan)
    try configuration.checkCopyLimit(plan)
    for length in plan.bufferLengths { _ = try configuration.layout(bufferLength: length, plan) }
    chainRemarks = [plan.remark].compactMap { $0 } + remarks
    self.configuration = configuration
    self.body = body
  }

  /// Listens and starts the threads; returns once every one of them is ready to accept.
  ///
  /// Once per receiver; after an error it may be tried again. Errors: what the kernel refused
  /// (address, interface, ring, memory, CPU), each with what to do.
  /// `tell` is called with a sentence when starting has to wait for something.
  public func start(tell: (String) -> Void = { _ in }) throws(IngestError) {
    guard threads.isEmpty else {
      throw IngestError(
        .usage, "the receiver was started already", remedy: "make a new one for each run")
    }
    let places = try ListenPlaces(configuration, tell: tell)
    // Before anybody can connect: a connection stays with the queue that it first came by.
    let nic = try setUpNIC(places)
    // Before the first byte: what the NIC left whole until now is not ours.
    let meter = TruthMeter(configuration, plan)
    // Afterwards no socket can be opened any more.
    let interface = nic == nil ? configuration.ifname.flatMap { InterfaceWatch($0) } : nil
    state.withLock { state in
      state.meter = meter
      state.interface = interface
    }
    do throws(IngestError) {
      let gate = try makeGate(nic)
      let threads = try startThreads(gate, places, tell: tell)
      try passGate(gate, threads)
      state.withLock { $0.threads = threads }
    } catch {
      _ = try? nic?.undo()
      throw error
    }
    state.withLock { $0.nic = nic }
  }

  private func setUpNIC(_ places: ListenPlaces) throws(IngestError) -> NICSetup? {
    guard let ifname = configuration.ifname, let wish = try configuration.nicWish(plan, places)
    else { return nil }
    let nic = try NICSetup(ifname, wish, force: configuration.force)
    guard configuration.privileges == .drop else { return nic }
    do throws(IngestError) {
      try nic.handOver()
    } catch {
      _ = try? nic.undo()
      throw error
    }
    return nic
  }

  private func startThreads(
    _ gate: PrivilegeGate?, _ places: ListenPlaces, tell: (String) -> Void
  ) throws(IngestError) -> [QueueThread] {
    let recording = try makeRecording()
    var listener = try Listener(places, configuration, threads: plan.threads)
    let cpus = try Placement.cpus(configuration.cpus, threads: plan.threads, flag: "--cpu")
    var limits = EngineControl.Limits()
    limits.bytes = configuration.bytes
    limits.connections = configuration.connections
    limits.openConnections = configuration.maxConnections
    if configuration.time > 0 {
      limits.deadline = ik_clock_ns() + UInt64(configuration.time * 1e9)
    }
    let shared = EngineControl(limits: limits)
    control.withLock { $0 = shared }
    let descriptors = listener.take()
    let endpoints = listener.endpoints
    let shares = QueueShares()
    defer { shares.clear() }
    let exchange = makeExchange()
    let peers = try configuration.peerGate()
    let made = cpus.indices.map { index in
      QueueThread(
        index: index, cpu: cpus[index], configuration: configuration,
        listeners: descriptors[index], control: shared, body: body, plan: plan, shares: shares,
        exchange: exchange, gate: gate, peers: peers, recording: recording)
    }
    var failure: IngestError?
    for thread in made where failure == nil { failure = thread.start(tell: tell) }
    if let failure {
      abandon(made, gate)
      throw failure
    }
    state.withLock { state in
      state.recording = recording
      state.endpoints = endpoints
      state.startedAt = ik_clock_ns()
    }
    return made
  }

  /// Ends threads of a receiver that cannot start.
  private func abandon(_ threads: [QueueThread], _ gate: PrivilegeGate?) {
    control.withLock { $0 }.ask(.abort)
    gate?.open()
    for thread in threads {
      thread.join()
      thread.closeListener()
    }
  }

  private func makeGate(_ nic: NICSetup?) throws(IngestError) -> PrivilegeGate? {
    guard configuration.privileges == .drop else { return nil }
    return try PrivilegeGate(configuration, nic)
  }

  /// All threads have what they need: the calling one gives its privileges up as well, the whole
  /// process comes under the filter of system calls, and the threads go on.
  private func passGate(
    _ gate: PrivilegeGate?, _ threads: [QueueThread]
  ) throws(IngestError) {
    guard let gate else { return }
    do throws(IngestError) {
      try gate.pass(threads: threads.reduce(1) { $0 + 1 + $1.placed.count })
    } catch {
      abandon(threads, gate)
      throw error
    }
    gate.open()
    state.withLock { $0.gate = gate }
  }

  /// What the process may still do; nil where privileges are kept.
  public var privileges: PrivilegesInEffect? { state.withLock { $0.gate }?.drop.inEffect() }

  /// The addresses it listens on; with port 0 asked for, the port it got.
  public var endpoints: [Endpoint] { state.withLock { $0.endpoints } }

  /// Why a better engine or receive mode was not taken.
  public var remarks: [String] {
    let (nic, gate) = state.withLock { ($0.nic, $0.gate) }
    var seen = chainRemarks + (nic?.remarks ?? []) + (gate?.remarks ?? [])
    for thread in threads {
      for remark in thread.remarks where !seen.contains(remark) { seen.append(remark) }
    }
    return seen
  }

  /// What happened at the NIC since the last call, each said once: settings that somebody else has
  /// changed, and what became of the link; of a NIC that was kept as it is, the link alone. Empty
  /// without ``ReceiveConfiguration/ifname``.
  ///
  /// When the interface is gone, nothing can come any more: connections end with what their sockets
  /// hold, and the run fails.
  ///
  /// - Cost: two system calls; some 10 netlink requests after a change, and once a second.
  public func nicNews() -> [NICNews] {
    let (nic, interface, meter) = state.withLock { ($0.nic, $0.interface, $0.meter) }
    let news = nic?.news() ?? interface?.news() ?? []
    if news.contains(where: { $0.kind == .drift }) { meter?.steeringChanged() }
    if news.contains(where: { $0.kind == .removed }) {
      state.withLock { $0.interfaceIsGone = true }
      control.withLock { $0 }.ask(.stop)
    }
    return news
  }

  /// The sum of all threads' counters.
  ///
  /// - Parameter asksNIC: whether what the NIC counts is read as evidence for
  ///   ``ReceiveCounters/truth``; without it more of the bytes are unknown there.
  /// - Cost: with a NIC's queue four ioctls, which some drivers take milliseconds for.
  public func snapshot(asksNIC: Bool = true) -> ReceiveCounters {
    var sum = ReceiveCounters()
    for (index, one) in perThread().enumerated() { sum.add(one, first: index == 0) }
    let evidence = ByteEvidence(threads.map { $0.engineCounters }, asksNIC ? truthMeter : nil)
    sum.bytes = evidence.bytes
    sum.set(evidence.truth)
    return sum
  }

  public func perThread() -> [ReceiveCounters] { threads.map { $0.counters } }

  /// Hands out what happened since the last call, thread by thread, oldest first.
  public func drainEvents(_ body: (ReceiveEvent) -> Void) {
    for thread in threads { thread.drainEvents(body) }
  }

  /// The first call takes what sockets hold already, finishes the sink and ends; the second ends
  /// at once and loses what is in flight. Before ``start()`` there is nothing to stop.
  public func stop() {
    let again = state.withLock { state -> Bool? in
      if state.threads.isEmpty { return nil }
      defer { state.stopAsked = true }
      return state.stopAsked
    }
    guard let again else { return }
    control.withLock { $0 }.ask(again ? .abort : .stop)
  }

  public var isFinished: Bool { threads.allSatisfy { $0.isFinished } }

  /// Waits for the threads and says what the run came to. Events not drained yet stay drainable.
  ///
  /// With `seconds`, threads that have not ended by then are left behind: one may hang in a write
  /// to a pipe that nobody reads. The process should end soon after.
  public func finish(within seconds: Double? = nil) -> ReceiveReport {
    if let seconds {
      // What is no number of seconds, or beyond 30 years, is for ever.
      let until = ik_clock_ns() + UInt64((seconds < 1e9 ? max(seconds, 0) : 1e9) * 1e9)
      while !isFinished && ik_clock_ns() < until { usleep(1000) }
    }
    for thread in threads where seconds == nil || thread.isFinished { thread.join() }
    let now = ik_clock_ns()
    let started = state.withLock { $0.startedAt }
    let counters = snapshot()
    let times = threads.map { $0.engineCounters }
    let first = times.map(\.firstByteAt).filter { $0 != 0 }.min() ?? 0
    let last = times.map(\.lastByteAt).max() ?? 0
    let sentences = threads.flatMap { $0.failures }
    let hints = truthMeter?.hints(counters.truth) ?? []
    let left = undoNIC()
    return ReceiveReport(
      configuration: configuration, counters: counters,
      busySeconds: last > first ? Double(last - first) / 1e9 : 0,
      elapsedSeconds: started == 0 ? 0 : Double(now - started) / 1e9,
      cpuSeconds: Double(threads.reduce(0) { $0 + $1.cpuNanoseconds }) / 1e9,
      engine: threads.first?.mode ?? "", remarks: remarks,
      failure: threads.compactMap { $0.failure }.first
        ?? sentences.first.map { IngestError(.failed, $0) } ?? goneInterface,
      copyHints: hints, notRestored: left)
  }

  private var goneInterface: IngestError? {
    guard state.withLock({ $0.interfaceIsGone }), let ifname = configuration.ifname else {
      return nil
    }
    return IngestError(
      .failed, "interface \(ifname) is gone, or in another network namespace",
      remedy: "start again when it is back: `ip -br link` lists the interfaces here")
  }

  /// Puts the NIC back; says what could not be, as sentences.
  private func undoNIC() -> [String] {
    let nic = state.withLock { state in
      defer { state.nic = nil }
      return state.nic
    }
    guard let nic else { return [] }
    do throws(IngestError) {
      return try nic.undo()
    } catch {
      return [error.description]
    }
  }

  /// Several queues take connections from each other; one has nobody to give them to.
  private func makeExchange() -> SocketExchange? {
    guard case .zeroCopy(_, let queues) = plan.engine, queues.count > 1,
      let ifname = configuration.ifname
    else { return nil }
    let table = NAPITable(ifname)
    return SocketExchange { table.queue(of: $0) }
  }

  var recording: FlightRecording? { state.withLock { $0.recording } }

  var truthMeter: TruthMeter? { state.withLock { $0.meter } }

  func chainThreads() -> [QueueThread] { threads }

  private var threads: [QueueThread] { state.withLock { $0.threads } }
}
