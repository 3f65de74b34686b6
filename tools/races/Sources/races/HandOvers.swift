import CIngestKernel
import Glibc
import RingCore
import Stages

/// Leases that go to another thread and come back, with both sides sleeping in poll(2) whenever
/// they have nothing to do.
final class HandOvers: @unchecked Sendable {
  // Sendable: constants, and what the one thread leaves for the other to read after joining it.
  private let count: Int
  private let crossing: Crossing
  private var sleepsThere = 0

  init(count: Int) {
    self.count = count
    crossing = Crossing(
      capacity: 8, limit: 16, buffers: 16, maxConnections: 1,
      there: Doorbell(descriptor: ik_event_descriptor()),
      back: Doorbell(descriptor: ik_event_descriptor()), isAborted: { false })
  }

  private static func area() -> AreaMemory {
    guard let layout = AreaLayout(bufferSize: 4096, bufferCount: 64) else { fatalError("layout") }
    return unsafe AreaMemory(
      unsafeBase: UnsafeMutableRawPointer.allocate(byteCount: layout.byteCount, alignment: 4096),
      layout: layout)
  }

  func run() -> String {
    let area = HandOvers.area()
    var thread: UInt64 = 0
    let started = unsafe ik_thread_start(
      &thread,
      { pointer in unsafe Unmanaged<HandOvers>.fromOpaque(pointer).takeRetainedValue().take() },
      Unmanaged.passRetained(self).toOpaque())
    guard started == 0 else { return "no thread" }
    let handle = thread
    var owner = HandOver(crossing, sleeps: true, readsPayload: false) {
      _ = ik_thread_join(handle)
      return []
    }
    var batch = Batch(area: area, submissions: nil, holdLimit: 16, returnLimit: 64)
    var random = SplitMix64(seed: 1)
    var sleeps = 0
    var sent = 0
    var came = 0
    owner.opened(Connection(slot: 0, serial: 1, peer: Endpoint()), in: &batch)
    while came < count {
      for _ in 0..<Int.random(in: 0...20, using: &random) where sent < count {
        // The test's own arithmetic: 64 leases at most are out or waiting to be sent.
        let lease = Lease(offset: UInt64(sent % 64) * 4096, length: 64, connection: 0)
        _ = owner.finish(lease, in: &batch).take()
        sent += 1
      }
      if sent == count { batch.isStopping = true }
      owner.endBatch(in: &batch)
      var back = 0
      batch.takeReturns { _ in back += 1 }
      came += back
      // An engine's wait: for something to come back where all is out, else for packets.
      if back == 0 && came < count && (sent == count || owner.pending >= 4) {
        sleeps += ik_event_wait(crossing.back.descriptor, -1) >= 0 ? 1 : 0
      }
    }
    owner.stop()
    return "\(count) leases handed over; \(sleeps) and \(sleepsThere) sleeps"
  }

  private func take() {
    var chain = PlacedChain(Checked(NoChecksum(), NullSink()), crossing)
    var batch = Batch(area: HandOvers.area(), submissions: nil, holdLimit: 16, returnLimit: 1024)
    let bell = crossing.there.bell
    while !chain.isStopped {
      let count = chain.run(in: &batch) { _, _, _, _, _ in }
      chain.endBatch(in: &batch)
      guard count == 0 && !chain.isStopped else { continue }
      chain.announce()
      bell.prepare()
      if !chain.hasWork() {
        sleepsThere += 1
        _ = ik_event_wait(bell.descriptor, -1)
      }
      bell.stay()
    }
  }
}

/// Two threads that share a word as nothing in the product may.
func race() {
  let word = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
  unsafe word.initialize(to: 0)
  var thread: UInt64 = 0
  let started = unsafe ik_thread_start(
    &thread,
    { pointer in
      for _ in 0..<1000 { unsafe pointer.assumingMemoryBound(to: UInt64.self).pointee += 1 }
    }, UnsafeMutableRawPointer(word))
  for _ in 0..<1000 { unsafe word.pointee += 1 }
  if started == 0 { _ = ik_thread_join(thread) }
  print("\(unsafe word.pointee)")
}
