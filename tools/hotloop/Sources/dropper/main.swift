// A program with the fault that tools/gates/drop looks for: a stage that keeps a lease aside and
// forgets it. It compiles, since Swift has no linear types.
import CIngestKernel
import RingCore

struct ForgetfulStage: Stage, ~Copyable {
  var aside: Held?

  mutating func take(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    // The earlier lease is dropped here.
    aside = nil
    return lease.keep(into: &aside)
  }
}

@inline(never)
func forget(_ stage: inout ForgetfulStage, _ batch: inout Batch, count: UInt64) {
  for index in 0..<count {
    _ = stage.take(Lease(offset: index << 12, length: 1, connection: 0), in: &batch).take()
  }
}

guard let layout = AreaLayout(bufferSize: 4096, bufferCount: 1) else {
  fatalError("one page is an area")
}
var page = [UInt8](repeating: 0, count: 4096)
unsafe page.withUnsafeMutableBytes { bytes in
  let area = unsafe AreaMemory(unsafeBase: bytes.baseAddress!, layout: layout)
  var batch = Batch(area: area, submissions: nil, holdLimit: 1)
  var stage = ForgetfulStage()
  forget(&stage, &batch, count: UInt64(CommandLine.arguments.count) + 1)
  print("dropped \(droppedLeases)")
}
