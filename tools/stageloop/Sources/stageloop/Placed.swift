import CIngestKernel
import RingCore
import Stages

/// Raw here, a checksum on the far side of a hand-over. One thread plays both sides in turns, and
/// only the far one reads payload: what it reads is where no cache has it.
private struct Handed<C: Checksum & ~Copyable>: Stage, ~Copyable {
  var head: RecordChain<RawFramer, HandOverAll>
  var tail: PlacedChain<Checked<C, NullSink>>
  var there: Batch

  init(_ checksum: consuming C, _ area: AreaMemory) {
    let crossing = Crossing(
      capacity: 2048, limit: 768, buffers: 1024, maxConnections: 1,
      there: Doorbell(descriptor: ik_event_descriptor()),
      back: Doorbell(descriptor: ik_event_descriptor()), isAborted: { false })
    head = RecordChain(
      framer: RawFramer(),
      rest: HandOverAll(HandOver(crossing, sleeps: false, readsPayload: true, finish: { [] })),
      maxConnections: 1)
    tail = PlacedChain(Checked(checksum, NullSink()), crossing)
    there = Batch(area: area, submissions: nil, holdLimit: 1024, returnLimit: 2048)
  }

  /// Nothing of it before the hand-over.
  var readsPayload: Bool { false }

  @inline(__always)
  mutating func take(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    head.take(lease, in: &batch)
  }

  mutating func opened(_ connection: Connection, in batch: inout Batch) {
    head.opened(connection, in: &batch)
  }

  mutating func closed(_ connection: Connection, _ end: StreamEnd, in batch: inout Batch) {
    head.closed(connection, end, in: &batch)
  }

  mutating func endBatch(in batch: inout Batch) {
    head.endBatch(in: &batch)
    while tail.run(in: &there, ended: { _, _, _, _, _ in }) > 0 { tail.endBatch(in: &there) }
  }
}

/// Raw, a hand-over, a checksum and null; the library by itself and plain reading, in turns.
@inline(never)
func measurePlaced<C: Checksum & ~Copyable>(
  _ checksum: consuming C, _ memory: borrowing Memory, _ job: Job,
  floor: ((borrowing Memory) -> UInt64)?
) -> Times {
  var chain = Handed(checksum, memory.area)
  var batch = Batch(area: memory.area, submissions: nil, holdLimit: 1024, returnLimit: 2048)
  var times = turns(memory, job, floor: floor) { memory, count in
    passes(&chain, memory, &batch, count)
  }
  times.records = chain.tail.totalBytes / UInt64(job.repeats + 1) / UInt64(job.buffer)
  times.faults = batch.faultTotal + chain.there.faultTotal
  return times
}
