import CIngestKernel
import RingCore
import Stages

/// Passes over all leases of an area with parse here and the checksum on the far side of a
/// hand-over, batches of 64. One thread plays both sides, and only the far one reads payload: what
/// it reads is where no cache has it, as on a thread of its own.
@inline(__always)
private func passes<C: Checksum & ~Copyable>(
  _ head: inout RecordChain<RawFramer, HandOverAll>, _ here: inout Batch,
  _ tail: inout PlacedChain<Checked<C, NullSink>>, _ there: inout Batch,
  _ memory: borrowing Memory, _ count: Int
) {
  let size = UInt32(memory.layout.bufferSize)
  for number in 0..<count {
    let connection = Connection(slot: 0, serial: UInt64(number + 1), peer: Endpoint())
    head.opened(connection, in: &here)
    var index = 0
    while index < memory.count {
      let end = min(index + 64, memory.count)
      while index < end {
        let offset = unsafe UInt64(memory.order[index]) &* UInt64(size)
        let lease = Lease(offset: offset, length: size, connection: 0)
        _ = head.take(lease, in: &here).take()
        index += 1
      }
      head.endBatch(in: &here)
      while tail.run(in: &there, ended: { _, _, _, _, _ in }) > 0 { tail.endBatch(in: &there) }
      here.takeReturns { _ in }
    }
    head.closed(connection, .stopped, in: &here)
    head.endBatch(in: &here)
  }
}

/// Raw, a hand-over, a checksum and null; the library by itself and plain reading, in turns.
@inline(never)
func measurePlaced<C: Checksum & ~Copyable>(
  _ checksum: consuming C, _ memory: borrowing Memory, _ job: Job,
  floor: ((borrowing Memory) -> UInt64)?
) -> Times {
  let crossing = Crossing(
    capacity: 2048, limit: 768, buffers: 1024, maxConnections: 1,
    there: Doorbell(descriptor: ik_event_descriptor()),
    back: Doorbell(descriptor: ik_event_descriptor()), isAborted: { false })
  var head = RecordChain(
    framer: RawFramer(),
    rest: HandOverAll(HandOver(crossing, sleeps: false, readsPayload: true, finish: { [] })),
    maxConnections: 1)
  var here = Batch(area: memory.area, submissions: nil, holdLimit: 1024, returnLimit: 2048)
  var tail = PlacedChain(Checked(checksum, NullSink()), crossing)
  var there = Batch(area: memory.area, submissions: nil, holdLimit: 1024, returnLimit: 2048)
  var times = turns(memory, job, floor: floor) { memory, count in
    passes(&head, &here, &tail, &there, memory, count)
  }
  times.records = tail.totalBytes / UInt64(job.repeats + 1) / UInt64(job.buffer)
  times.faults = here.faultTotal + there.faultTotal
  return times
}
