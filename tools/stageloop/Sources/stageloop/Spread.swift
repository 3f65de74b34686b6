import CFloor
import CIngestKernel
import RingCore
import Stages

/// The same chain over two threads: raw here, three stages and null there.
///
/// With `alternating` one thread plays both, so that callgrind counts what both sides of a
/// hand-over cost whatever the scheduler does. Otherwise the threads are pinned to CPUs 0 and 1.
final class Spread: @unchecked Sendable {
  // Sendable: constants, and what the one thread leaves for the other to read after joining it.
  private let crossing: Crossing
  private var leases: UInt64 = 0

  init() {
    crossing = Crossing(
      capacity: 2048, limit: 768, buffers: 1024, maxConnections: slots,
      there: Doorbell(descriptor: ik_event_descriptor()),
      back: Doorbell(descriptor: ik_event_descriptor()), isAborted: { false })
  }

  private typealias Head = RecordChain<RawFramer, HandOverAll>

  private func head(finish: @escaping @Sendable () -> [String]) -> Head {
    RecordChain(
      framer: RawFramer(),
      rest: HandOverAll(
        HandOver(crossing, sleeps: false, readsPayload: false, finish: finish)),
      maxConnections: slots)
  }

  private static func batch() -> Batch {
    guard let layout = AreaLayout(bufferSize: 4096, bufferCount: 1024) else {
      fatalError("the benchmark's own area is a valid one")
    }
    // The stages read no payload: the memory behind the area is never touched.
    let base = UnsafeMutableRawPointer.allocate(byteCount: layout.byteCount, alignment: 4096)
    return unsafe Batch(
      area: AreaMemory(unsafeBase: base, layout: layout), submissions: nil, holdLimit: 1024,
      returnLimit: 2048)
  }

  func alternating(_ count: Int, zeroCopy: Bool, batch: UInt32) -> Outcome {
    var engine = Engine(zeroCopy: zeroCopy)
    var chain = head { [] }
    openAll(&chain, &engine)
    var tail = PlacedChain(Checked(NoChecksum(), threeStages()), crossing)
    var there = Spread.batch()
    var outcome = Outcome()
    let clock = clockCost()
    while outcome.completions < UInt64(count) {
      engine.fill(batch)
      let start = floor_clock()
      engine.run(&chain)
      while tail.run(in: &there, ended: { _, _, _, _, _ in }) > 0 { tail.endBatch(in: &there) }
      outcome.nanoseconds += max(floor_clock() - start, clock) - clock
      engine.drain()
      outcome.completions += UInt64(batch)
    }
    outcome.leases = tail.rest.sink.stage.pieces
    return outcome
  }

  func threads(_ count: Int, zeroCopy: Bool, batch: UInt32) -> Outcome {
    var engine = Engine(zeroCopy: zeroCopy)
    var thread: UInt64 = 0
    let started = unsafe ik_thread_start(
      &thread,
      { pointer in unsafe Unmanaged<Spread>.fromOpaque(pointer).takeRetainedValue().take() },
      Unmanaged.passRetained(self).toOpaque())
    guard started == 0 else { fatalError("no thread: error \(started)") }
    _ = floor_pin(0)
    let handle = thread
    var chain = head {
      _ = ik_thread_join(handle)
      return []
    }
    openAll(&chain, &engine)
    var outcome = Outcome()
    let start = floor_clock()
    while outcome.completions < UInt64(count) {
      engine.fill(batch)
      engine.run(&chain)
      engine.drain()
      outcome.completions += UInt64(batch)
    }
    while chain.pending > 0 { engine.run(&chain) }
    outcome.nanoseconds = floor_clock() - start
    outcome.waits = chain.totals.sinkWaits
    chain.stop()
    outcome.leases = leases
    return outcome
  }

  /// The other thread, which looks for work without a pause, as it does in the product while it
  /// finds some.
  private func take() {
    _ = floor_pin(1)
    var chain = PlacedChain(Checked(NoChecksum(), threeStages()), crossing)
    var batch = Spread.batch()
    while !chain.isStopped {
      _ = chain.run(in: &batch) { _, _, _, _, _ in }
      chain.endBatch(in: &batch)
      chain.announce()
    }
    leases = chain.rest.sink.stage.pieces
  }
}
