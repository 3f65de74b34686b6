import CFloor
import CIngestKernel
import CTwin
import RingCore
import Stages

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

typealias Three = Staged<StagePair<StagePair<Pass, Pass>, Pass>, NullSink>
let slots = 64

func threeStages() -> Three {
  Staged(Pass().then(Pass()).then(Pass()), NullSink(), maxConnections: slots)
}

/// Rings in memory and the kernel that fills them, for one kind of engine.
@safe
struct Engine: ~Copyable {
  /// Bytes of a completion: a whole buffer from a network card, a packet in provided buffers.
  static let packet: UInt32 = 1024
  var rings: twin_rings
  var completions: CompletionRing
  var refill: RefillRing
  var buffers: ProvidedBuffers
  var batch: Batch
  let isZeroCopy: Bool

  init(zeroCopy: Bool) {
    let shift: UInt32 = 12
    let count: UInt32 = 1024
    guard let layout = AreaLayout(bufferSize: 1 << Int(shift), bufferCount: Int(count)) else {
      fatalError("the benchmark's own area is a valid one")
    }
    isZeroCopy = zeroCopy
    unsafe rings = twin_rings_make(1024, shift, count)
    completions = unsafe CompletionRing(
      unsafeHead: rings.cq_head, tail: rings.cq_tail, entries: rings.cqes,
      capacity: rings.cq_mask + 1)
    refill = unsafe RefillRing(
      unsafeHead: rings.rq_head, tail: rings.rq_tail, entries: rings.rqes,
      capacity: rings.rq_mask + 1)
    buffers = unsafe ProvidedBuffers(
      unsafeRing: rings.bufs, area: rings.area, layout: layout, postLimit: count)
    batch = unsafe Batch(
      area: AreaMemory(unsafeBase: rings.area, layout: layout), submissions: nil,
      holdLimit: 1024, returnLimit: 2048)
  }

  mutating func fill(_ count: UInt32) {
    if isZeroCopy {
      unsafe fake_zcrx_fill(&rings, count, Engine.packet * 4)
    } else {
      unsafe fake_pbuf_fill(&rings, count, Engine.packet)
    }
  }

  mutating func drain() {
    if isZeroCopy { unsafe fake_zcrx_drain(&rings) }
  }

  /// What an engine does with a batch: each completion through the chain, then what came back.
  @inline(__always)
  mutating func run<S: Stage & ~Copyable>(_ stage: inout S) {
    if isZeroCopy {
      zeroCopyBatch(&completions, &refill, &stage, &batch)
    } else {
      providedBatch(&completions, &buffers, &stage, &batch)
    }
    stage.endBatch(in: &batch)
    takeReturns()
  }

  @inline(__always)
  mutating func takeReturns() {
    if isZeroCopy {
      var out = refill
      batch.takeReturns { out.push(offset: $0) }
      out.publish()
      refill = out
    } else {
      var view = buffers.view
      batch.takeReturns { view.release($0) }
      view.publish()
      buffers.view = view
    }
  }
}

/// The least of what two readings of the clock are apart, to be taken off.
func clockCost() -> UInt64 {
  var least = UInt64.max
  for _ in 0..<10_000 {
    let start = floor_clock()
    least = min(least, floor_clock() - start)
  }
  return least
}

/// What a run came to.
struct Outcome {
  var completions: UInt64 = 0
  var nanoseconds: UInt64 = 0
  var leases: UInt64 = 0
  var waits: UInt64 = 0
}

/// raw, three stages that pass everything on, null: all on this thread.
@inline(never)
func inline(_ count: Int, zeroCopy: Bool, batch: UInt32) -> Outcome {
  var engine = Engine(zeroCopy: zeroCopy)
  var chain = RecordChain(
    framer: RawFramer(), checksum: NoChecksum(), sink: threeStages(), maxConnections: slots)
  openAll(&chain, &engine)
  var outcome = Outcome()
  let clock = clockCost()
  while outcome.completions < UInt64(count) {
    engine.fill(batch)
    let start = floor_clock()
    engine.run(&chain)
    outcome.nanoseconds += max(floor_clock() - start, clock) - clock
    engine.drain()
    outcome.completions += UInt64(batch)
  }
  outcome.leases = chain.rest.sink.stage.pieces
  return outcome
}

/// Puts the buffers into the ring, and connections into their slots.
func openAll<S: Stage & ~Copyable>(_ chain: inout S, _ engine: inout Engine) {
  engine.run(&chain)
  for slot in 0..<UInt32(slots) {
    chain.opened(
      Connection(slot: slot, serial: UInt64(slot) + 1, peer: Endpoint()), in: &engine.batch)
  }
}

extension StagePair where First == StagePair<Pass, Pass>, Second == Pass {
  var pieces: UInt64 { second.pieces }
}
