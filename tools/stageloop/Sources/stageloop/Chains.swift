import CFloor
import RingCore
import Stages
import Wire

/// What is measured, and over which memory.
struct Job {
  var kind = ""
  var area = 8 << 20
  var buffer = 4096
  var payload = 1024
  var repeats = 5
  /// Bytes of one measurement, at least.
  var bytes = 256 << 20
}

/// One side of a comparison: nanoseconds of each repeat.
struct Times {
  var ours: [UInt64] = []
  var floor: [UInt64] = []
  var read: [UInt64] = []
  /// Bytes of one repeat, and records in them.
  var bytes = 0
  var records: UInt64 = 0
  var faults: UInt64 = 0
  var verified: UInt64 = 0
}

/// Passes of a chain over all leases of an area, each a connection of its own; batches of 64, in
/// which the next lease's first line is asked for ahead, as the zero-copy engine does.
@inline(__always)
func passes<S: Stage & ~Copyable>(
  _ chain: inout S, _ memory: borrowing Memory, _ batch: inout Batch, _ count: Int
) {
  let size = UInt32(memory.layout.bufferSize)
  for number in 0..<count {
    let connection = Connection(slot: 0, serial: UInt64(number + 1), peer: Endpoint())
    chain.opened(connection, in: &batch)
    var index = 0
    while index < memory.count {
      let end = min(index + 64, memory.count)
      while index < end {
        let offset = unsafe UInt64(memory.order[index]) &* UInt64(size)
        if chain.readsPayload && index + 1 < end {
          unsafe batch.area.prefetch(at: UInt64(memory.order[index + 1]) &* UInt64(size))
        }
        let lease = Lease(offset: offset, length: size, connection: 0)
        _ = chain.take(lease, in: &batch).take()
        index += 1
      }
      chain.endBatch(in: &batch)
      batch.takeReturns { _ in }
    }
    // This side's choice: a record that the area's end cut is no fault.
    chain.closed(connection, .stopped, in: &batch)
  }
}

/// The chain, the library by itself and plain reading, in turns.
@inline(never)
func measure<F: Framer, C: Checksum & ~Copyable>(
  _ framer: F, _ checksum: consuming C, _ memory: borrowing Memory, _ job: Job,
  floor: ((borrowing Memory) -> UInt64)?
) -> Times {
  var chain = RecordChain(
    framer: framer, checksum: checksum, sink: NullSink(), maxConnections: 1)
  var batch = Batch(area: memory.area, submissions: nil, holdLimit: 1)
  var times = turns(memory, job, floor: floor) { memory, count in
    passes(&chain, memory, &batch, count)
  }
  let rounds = UInt64(job.repeats + 1)
  times.records = chain.totals.records / rounds
  times.verified = chain.rest.checksum.verified / rounds
  times.faults = batch.faultTotal
  return times
}

/// Something that goes over the area so many times, beside the floor and plain reading.
@inline(__always)
func turns(
  _ memory: borrowing Memory, _ job: Job, floor: ((borrowing Memory) -> UInt64)?,
  _ passes: (borrowing Memory, Int) -> Void
) -> Times {
  let count = max(1, job.bytes / memory.layout.byteCount)
  var times = Times()
  times.bytes = count * memory.layout.byteCount
  var seen: UInt64 = 0
  var whole = unsafe memory.walk()
  for repetition in 0...job.repeats {
    let start = floor_clock()
    passes(memory, count)
    let middle = floor_clock()
    if let floor { for _ in 0..<count { seen &+= floor(memory) } }
    let end = floor_clock()
    for _ in 0..<count { unsafe seen &+= floor_read(&whole) }
    let last = floor_clock()
    // The first one warms up.
    guard repetition > 0 else { continue }
    times.ours.append(middle - start)
    if floor != nil { times.floor.append(end - middle) }
    times.read.append(last - end)
  }
  if seen == 1 { print("") }
  return times
}

/// A parser, then nothing.
func frame(_ job: Job, _ memory: borrowing Memory) -> Times? {
  func run<F: Framer>(
    _ framer: F, _ memory: borrowing Memory, floor: ((borrowing Memory) -> UInt64)? = nil
  ) -> Times {
    measure(framer, NoChecksum(), memory, job, floor: floor)
  }
  switch job.kind {
  case "raw": return run(RawFramer(), memory)
  case "fixed": return run(FixedFramer(size: job.payload), memory)
  case "lines":
    return run(LinesFramer(max: 1 << 20), memory) { place in
      var walk = unsafe place.walk()
      return unsafe floor_newlines(&walk)
    }
  case "length": return run(LengthFramer(bytes: 4), memory)
  case "described":
    return run(
      HeaderFramer(
        size: 8, length: HeaderFramer.Field(at: 4, bytes: 4),
        magic: HeaderFramer.Magic(at: 0, [0x4b, 0x41])), memory)
  case "chunked": return run(ChunkedFramer(), memory)
  case "wire": return run(WireFramer(), memory)
  default: return nil
  }
}

/// A digest behind the parser that it needs. Each record lies in one lease, so that the library
/// by itself reads exactly the same bytes.
func digest(_ job: Job, _ memory: borrowing Memory) -> Times? {
  let header = WireHeader.size
  let payload = job.buffer - header
  let crc: (borrowing Memory, Int, Int) -> UInt64 = { place, skip, length in
    var walk = unsafe place.walk(skip: skip, length: length)
    return unsafe floor_crc32c(&walk)
  }
  let xxh: (borrowing Memory, Int, Int) -> UInt64 = { place, skip, length in
    var walk = unsafe place.walk(skip: skip, length: length)
    return unsafe floor_xxh3(&walk)
  }
  switch job.kind {
  case "crc32c-verify":
    return measure(WireFramer(), VerifyChecksum(.crc32c, maxConnections: 1), memory, job) {
      crc($0, header, payload)
    }
  case "crc32c":
    return measure(RawFramer(), ComputeChecksum(.crc32c, maxConnections: 1), memory, job) {
      crc($0, 0, job.buffer)
    }
  case "crc32c-placed":
    return measurePlaced(ComputeChecksum(.crc32c, maxConnections: 1), memory, job) {
      crc($0, 0, job.buffer)
    }
  case "xxh3-verify":
    return measure(WireFramer(), VerifyChecksum(.xxh3, maxConnections: 1), memory, job) {
      xxh($0, header, payload)
    }
  case "xxh3":
    return measure(RawFramer(), ComputeChecksum(.xxh3, maxConnections: 1), memory, job) {
      xxh($0, 0, job.buffer)
    }
  default: return nil
  }
}
