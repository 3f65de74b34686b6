import CFloor
import CTwin
import RingCore

/// The loops of tools/hotloop, timed: Swift's and the C twin's over the same rings. The counted
/// work is the same; what they come to is compared there.
func bare(_ kind: String, _ count: Int, _ batch: UInt32) -> Outcome? {
  guard ["swift-zcrx", "c-zcrx", "swift-pbuf", "c-pbuf"].contains(kind) else { return nil }
  var engine = Engine(zeroCopy: kind.hasSuffix("zcrx"))
  var pool = unsafe twin_pool_make(&engine.rings)
  var sum = twin_sum()
  var stage = SumStage()
  let isSwift = kind.hasPrefix("swift")
  var outcome = Outcome()
  let clock = clockCost()
  // Without completions, the first call puts the buffers into the ring.
  unsafe turn(isSwift, &engine, &pool, &sum, &stage)
  while outcome.completions < UInt64(count) {
    engine.fill(batch)
    let start = floor_clock()
    unsafe turn(isSwift, &engine, &pool, &sum, &stage)
    outcome.nanoseconds += max(floor_clock() - start, clock) - clock
    engine.drain()
    outcome.completions += UInt64(batch)
  }
  let bytes = isSwift ? stage.bytes : sum.bytes
  outcome.leases = bytes / UInt64(engine.isZeroCopy ? Engine.packet * 4 : Engine.packet)
  return outcome
}

@inline(never)
private func turn(
  _ isSwift: Bool, _ engine: inout Engine, _ pool: inout twin_pool, _ sum: inout twin_sum,
  _ stage: inout SumStage
) {
  switch (isSwift, engine.isZeroCopy) {
  case (true, true):
    zeroCopyBatch(&engine.completions, &engine.refill, &stage, &engine.batch)
  case (true, false):
    providedBatch(&engine.completions, &engine.buffers, &stage, &engine.batch)
  case (false, true): unsafe c_zcrx_loop(&engine.rings, &sum)
  case (false, false): unsafe c_pbuf_loop(&engine.rings, &pool, &sum)
  }
}
