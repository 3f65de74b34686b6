// Runs one loop over so many buffers: hotloop swift-zcrx|c-zcrx|swift-pbuf|c-pbuf [buffers]
//
// Both languages are fed by the same fake kernel; the sums that they come to are printed and must
// agree, or they did not do the same work. tools/gates/hotpath runs this under callgrind.
import CIngestKernel
import CTwin
import Glibc
import RingCore

let batchSize: UInt32 = 256
let bufferShift: UInt32 = 12
let bufferCount: UInt32 = 1024
/// Four completions fill a provided buffer, as packets would.
let packet: UInt32 = 1024

func makeBench(_ rings: inout twin_rings) -> UnsafeMutablePointer<Bench> {
  guard let layout = AreaLayout(bufferSize: 1 << Int(bufferShift), bufferCount: Int(bufferCount))
  else { fatalError("the benchmark's own area is a valid one") }
  let bench = UnsafeMutablePointer<Bench>.allocate(capacity: 1)
  unsafe bench.initialize(
    to: Bench(
      completions: CompletionRing(
        unsafeHead: rings.cq_head, tail: rings.cq_tail, entries: rings.cqes,
        capacity: rings.cq_mask + 1),
      refill: RefillRing(
        unsafeHead: rings.rq_head, tail: rings.rq_tail, entries: rings.rqes,
        capacity: rings.rq_mask + 1),
      buffers: ProvidedBuffers(
        unsafeRing: rings.bufs, area: rings.area, layout: layout, postLimit: bufferCount),
      batch: Batch(
        area: AreaMemory(unsafeBase: rings.area, layout: layout), submissions: nil,
        holdLimit: 1)))
  return unsafe bench
}

func run(_ which: String, buffers: UInt32) {
  var rings = unsafe twin_rings_make(1024, bufferShift, bufferCount)
  var pool = unsafe twin_pool_make(&rings)
  var sum = twin_sum()
  let bench = unsafe makeBench(&rings)
  let zeroCopy = which.hasSuffix("zcrx")
  let swift = which.hasPrefix("swift")
  // A first call without completions puts the buffers into the ring.
  if !zeroCopy {
    if swift { unsafe swiftProvidedLoop(bench) } else { unsafe c_pbuf_loop(&rings, &pool, &sum) }
  }
  var left = buffers
  while left > 0 {
    let count = min(left, batchSize)
    if zeroCopy {
      unsafe fake_zcrx_fill(&rings, count, packet)
      if swift { unsafe swiftZeroCopyLoop(bench) } else { unsafe c_zcrx_loop(&rings, &sum) }
      unsafe fake_zcrx_drain(&rings)
    } else {
      unsafe fake_pbuf_fill(&rings, count, packet)
      if swift { unsafe swiftProvidedLoop(bench) } else { unsafe c_pbuf_loop(&rings, &pool, &sum) }
    }
    left -= count
  }
  let bytes = unsafe swift ? bench.pointee.stage.bytes : sum.bytes
  let firsts = unsafe swift ? bench.pointee.stage.firstBytes : sum.first_bytes
  print("\(bytes) \(firsts)")
}

let arguments = CommandLine.arguments
let names = ["swift-zcrx", "c-zcrx", "swift-pbuf", "c-pbuf"]
guard arguments.count >= 2, names.contains(arguments[1]),
  let buffers = UInt32(arguments.count > 2 ? arguments[2] : "100000")
else {
  print("usage: hotloop \(names.joined(separator: "|")) [buffers]")
  exit(2)
}
run(arguments[1], buffers: buffers)
