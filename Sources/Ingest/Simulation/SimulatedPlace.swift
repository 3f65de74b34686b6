import CIngestKernel
import Glibc
import RingCore
import Stages

/// A thread that runs the end of a simulated chain, and now and then stops for a moment.
final class SimulatedPlace<T: Sink & ~Copyable & SendableMetatype>: @unchecked Sendable {
  // Sendable: what is not constant is the thread's own until it was joined.
  private let simulation: Simulation
  private let sink: () -> T
  private let area: AreaMemory
  private let crossing: Crossing
  private var handle: UInt64 = 0
  private(set) var faults: [Fault] = []
  private(set) var counters = SinkCounters()

  init(
    _ simulation: Simulation, area: AreaMemory, maxConnections: Int, sink: @escaping () -> T
  ) {
    self.simulation = simulation
    self.sink = sink
    self.area = area
    crossing = Crossing(
      capacity: simulation.ringCapacity, limit: simulation.holdLimit,
      buffers: simulation.bufferCount, maxConnections: maxConnections,
      there: Doorbell(descriptor: ik_event_descriptor()),
      // The simulated engine never sleeps.
      back: Doorbell(descriptor: -1), isAborted: { false })
  }

  deinit { close(crossing.there.descriptor) }

  /// Starts the thread; the way to it.
  func start() -> HandOver {
    let body = ThreadBody { self.run() }
    let error = unsafe ik_thread_start(
      &handle,
      { pointer in unsafe Unmanaged<ThreadBody>.fromOpaque(pointer).takeRetainedValue().run() },
      Unmanaged.passRetained(body).toOpaque())
    invariant(error == 0, "a simulation can start a thread")
    return HandOver(crossing, sleeps: false, readsPayload: true) {
      _ = ik_thread_join(self.handle)
      return []
    }
  }

  private func run() {
    var random = SplitMix64(seed: ~simulation.seed)
    var batch = Batch(
      area: area, submissions: nil, holdLimit: simulation.holdLimit,
      returnLimit: 2 * simulation.holdLimit + PlacedChain<Checked<NoChecksum, NullSink>>.burst,
      refusalLimit: crossing.maxConnections, faultLimit: 1024)
    var chain = PlacedChain(Checked(NoChecksum(), sink()), crossing)
    let bell = crossing.there.bell
    while !chain.isStopped || chain.rest.pending > 0 {
      let count = chain.run(in: &batch) { _, _, _, _, _ in }
      chain.endBatch(in: &batch)
      batch.drainFaults { faults.append($0) }
      switch Int.random(in: 0..<16, using: &random) {
      case 0: usleep(UInt32.random(in: 1...200, using: &random))
      case 1: sched_yield()
      default: break
      }
      if count == 0 && !chain.isStopped { sleep(&chain, bell) }
    }
    chain.endBatch(in: &batch)
    chain.rest.stop()
    counters = chain.counters
  }

  /// As an engine's thread sleeps, but in read(2).
  private func sleep(
    _ chain: inout PlacedChain<Checked<NoChecksum, T>>, _ bell: Bell
  ) {
    chain.announce()
    bell.prepare()
    if !chain.hasWork() && chain.rest.pending == 0 { ik_event_wait(bell.descriptor, 10_000) }
    bell.stay()
  }
}

/// What a thread runs, for C.
private final class ThreadBody: Sendable {
  private let body: @Sendable () -> Void

  init(_ body: @escaping @Sendable () -> Void) { self.body = body }

  func run() { body() }
}
