import CIngestKernel
import Glibc
import RingCore
import Stages
import Wire

// chainloop LOOP COUNT: a chain over COUNT leases in memory, in batches of 64, for counting
// instructions with callgrind (tools/gates/chain). LOOP is one-stage, three-stages, or
// one-stage-sampled, where the meter samples one batch in 64; wire, where each lease is a record;
// or recorded-8 or recorded-64, where a flight recorder gets COUNT completions in batches of so
// many.

/// Counts pieces and passes them on.
struct Pass: RecordStage {
  static let name = "pass"
  static var readsPayload: Bool { false }
  var pieces: UInt64 = 0
  mutating func take(
    _ piece: Piece, payload: RawSpan, state: inout NoState, in batch: inout Batch
  ) -> StageAnswer {
    pieces &+= 1
    return .pass
  }
}

@inline(__always)
func loop<S: RecordStage & ~Copyable>(
  _ stage: consuming S, _ count: Int, sampled: Bool = false
) -> UInt64 {
  guard let layout = AreaLayout(bufferSize: 4096, bufferCount: 64) else { return 0 }
  let memory = UnsafeMutableRawPointer.allocate(byteCount: layout.byteCount, alignment: 4096)
  defer { unsafe memory.deallocate() }
  var batch = unsafe Batch(
    area: AreaMemory(unsafeBase: memory, layout: layout), submissions: nil, holdLimit: 1)
  var chain = RecordChain(
    framer: RawFramer(), checksum: NoChecksum(),
    sink: Staged(stage, NullSink(), maxConnections: 4), maxConnections: 4)
  for slot in 0..<UInt32(4) {
    chain.opened(Connection(slot: slot, serial: 1, peer: Endpoint()), in: &batch)
  }
  var sum: UInt64 = 0
  for number in 0..<count / 64 {
    if sampled { batch.meter.begin(UInt64(number), now: 0) }
    for index in 0..<64 {
      let lease = Lease(
        offset: UInt64(index) << 12, length: 4096, connection: UInt32(index & 3))
      if let released = chain.take(lease, in: &batch).take() { sum &+= released }
    }
    if sampled { batch.meter.end(bytes: 64 * 4096) }
  }
  return sum &+ chain.totals.payloadBytes
}

@inline(never)
func oneStage(_ count: Int) -> UInt64 { loop(Pass(), count) }

@inline(never)
func oneStageSampled(_ count: Int) -> UInt64 { loop(Pass(), count, sampled: true) }

@inline(never)
func threeStages(_ count: Int) -> UInt64 { loop(Pass().then(Pass()).then(Pass()), count) }

/// A wire record in each lease. Each batch is a connection, so that sequence numbers fit.
@inline(never)
func wire(_ count: Int) -> UInt64 {
  guard let layout = AreaLayout(bufferSize: 4096, bufferCount: 64) else { return 0 }
  let memory = UnsafeMutableRawPointer.allocate(byteCount: layout.byteCount, alignment: 4096)
  defer { unsafe memory.deallocate() }
  for index in 0..<64 {
    let header = WireHeader(
      length: UInt32(4096 - WireHeader.size), sequence: UInt64(index))
    unsafe header.encode(unsafeInto: memory + index << 12)
  }
  var batch = unsafe Batch(
    area: AreaMemory(unsafeBase: memory, layout: layout), submissions: nil, holdLimit: 1)
  var chain = RecordChain(
    framer: WireFramer(), checksum: NoChecksum(), sink: NullSink(), maxConnections: 1)
  var sum: UInt64 = 0
  for number in 0..<count / 64 {
    let connection = Connection(slot: 0, serial: UInt64(number + 1), peer: Endpoint())
    chain.opened(connection, in: &batch)
    for index in 0..<64 {
      let lease = Lease(offset: UInt64(index) << 12, length: 4096, connection: 0)
      if let released = chain.take(lease, in: &batch).take() { sum &+= released }
    }
    chain.closed(connection, .finished, in: &batch)
  }
  guard chain.totals.records == UInt64(count / 64 * 64), batch.faultTotal == 0 else { exit(1) }
  return sum &+ chain.totals.payloadBytes
}

/// `count` completions in batches of so many, recorded as an engine does.
@inline(never)
func recorded(_ count: Int, batch: Int) -> UInt64 {
  let shared = UnsafeMutablePointer<UInt32>.allocate(capacity: 2)
  unsafe shared.initialize(repeating: 0, count: 2)
  let entries = UnsafeMutablePointer<ik_cqe>.allocate(capacity: 1024)
  unsafe entries.initialize(repeating: ik_cqe(), count: 1024)
  let cells = UnsafeMutablePointer<FlightEvent>.allocate(capacity: 4096)
  unsafe cells.initialize(repeating: FlightEvent(.wait), count: 4096)
  let published = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
  unsafe published.initialize(to: 0)
  defer {
    unsafe shared.deallocate()
    unsafe entries.deallocate()
    unsafe cells.deallocate()
    unsafe published.deallocate()
  }
  var queue = unsafe CompletionRing(
    unsafeHead: shared, tail: UnsafePointer(shared + 1), entries: UnsafePointer(entries),
    capacity: 1024)
  var recorder = unsafe FlightRecorder(
    unsafeCells: cells, capacity: 4096, published: published)
  for number in 0..<count / batch {
    recorder.append(
      FlightEvent(.batch, index: UInt32(batch), UInt64(number)), queue, count: UInt32(batch))
    queue.advance(UInt32(batch))
  }
  return unsafe published.pointee
}

let words = CommandLine.arguments
guard words.count == 3, let count = Int(words[2]) else { exit(2) }
switch words[1] {
case "one-stage": print(oneStage(count))
case "one-stage-sampled": print(oneStageSampled(count))
case "three-stages": print(threeStages(count))
case "wire": print(wire(count))
case "recorded-8": print(recorded(count, batch: 8))
case "recorded-64": print(recorded(count, batch: 64))
default: exit(2)
}
