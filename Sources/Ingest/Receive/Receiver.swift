import CIngestKernel
import Glibc
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
  private let body: QueueThread.Body
  private let chainRemarks: [String]
  private let plan: EnginePlan
  private let state = Mutex(State())
  private let control = Mutex(EngineControl())

  private struct State {
    var threads: [QueueThread] = []
    var endpoint = Endpoint()
    var startedAt: UInt64 = 0
    var stopAsked = false
    var nic: NICSetup?
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

  @usableFromInline
  init(
    _ configuration: ReceiveConfiguration, body: QueueThread.Body, remarks: [String] = []
  ) throws(IngestError) {
    try configuration.validate()
    let configuration = try configuration.withGivenArea()
    plan = try EnginePlan(configuration)
    try configuration.checkMemory(plan)
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
    // Before anybody can connect: a connection stays with the queue that it first came by.
    let nic = try setUpNIC()
    do throws(IngestError) {
      try startThreads(tell: tell)
    } catch {
      _ = try? nic?.undo()
      throw error
    }
    state.withLock { $0.nic = nic }
  }

  private func setUpNIC() throws(IngestError) -> NICSetup? {
    guard let ifname = configuration.ifname, let wish = try configuration.nicWish(plan) else {
      return nil
    }
    return try NICSetup(ifname, wish, force: configuration.force)
  }

  private func startThreads(tell: (String) -> Void) throws(IngestError) {
    var listener = try Listener(configuration, threads: plan.threads)
    let cpus = try Placement.cpus(configuration.cpus, threads: plan.threads, flag: "--cpu")
    var limits = EngineControl.Limits()
    limits.bytes = configuration.bytes
    limits.connections = configuration.connections
    if configuration.time > 0 {
      limits.deadline = ik_clock_ns() + UInt64(configuration.time * 1e9)
    }
    let shared = EngineControl(limits: limits)
    control.withLock { $0 = shared }
    let descriptors = listener.take()
    let endpoint = listener.endpoint
    let shares = QueueShares()
    defer { shares.clear() }
    let exchange = makeExchange()
    let made = cpus.indices.map { index in
      QueueThread(
        index: index, cpu: cpus[index], configuration: configuration,
        listener: descriptors[index], control: shared, body: body, plan: plan, shares: shares,
        exchange: exchange)
    }
    var failure: IngestError?
    for thread in made where failure == nil { failure = thread.start(tell: tell) }
    if let failure {
      shared.ask(.abort)
      for thread in made {
        thread.join()
        thread.closeListener()
      }
      throw failure
    }
    state.withLock { state in
      state.threads = made
      state.endpoint = endpoint
      state.startedAt = ik_clock_ns()
    }
  }

  /// The address it listens on; with port 0 asked for, the port it got.
  public var endpoints: [Endpoint] { state.withLock { [$0.endpoint] } }

  /// Why a better engine or receive mode was not taken.
  public var remarks: [String] {
    var seen = chainRemarks + (state.withLock { $0.nic }?.remarks ?? [])
    for thread in threads {
      for remark in thread.remarks where !seen.contains(remark) { seen.append(remark) }
    }
    return seen
  }

  /// What is no longer as the NIC was set up for this receiver, as sentences: somebody else has
  /// changed it. Empty where all is, and where the NIC was kept as it is.
  ///
  /// - Cost: about 10 netlink requests, so ask once a second, not once a batch.
  public func drift() -> [String] { state.withLock { $0.nic }?.drift() ?? [] }

  /// The sum of all threads' counters.
  public func snapshot() -> ReceiveCounters {
    var sum = ReceiveCounters()
    for (index, one) in perThread().enumerated() { sum.add(one, first: index == 0) }
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
    let left = undoNIC()
    return ReceiveReport(
      configuration: configuration, counters: counters,
      busySeconds: last > first ? Double(last - first) / 1e9 : 0,
      elapsedSeconds: started == 0 ? 0 : Double(now - started) / 1e9,
      cpuSeconds: Double(threads.reduce(0) { $0 + $1.cpuNanoseconds }) / 1e9,
      engine: threads.first?.mode ?? "", remarks: remarks,
      failure: threads.compactMap { $0.failure }.first
        ?? sentences.first.map { IngestError(.failed, $0) },
      notRestored: left)
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

  private var threads: [QueueThread] { state.withLock { $0.threads } }
}
