import CIngestKernel
import CTwin
import RingCore

/// The smallest stage that does something: adds lengths up and touches the first byte.
struct SumStage: Stage {
  var bytes: UInt64 = 0
  var firstBytes: UInt64 = 0

  @inline(__always)
  mutating func take(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    bytes &+= UInt64(lease.length)
    firstBytes &+= batch.area.withBytes(of: lease) { bytes in
      // A lease has at least one byte.
      UInt64(unsafe bytes.unsafeLoad(fromByteOffset: 0, as: UInt8.self))
    }
    return lease.done()
  }
}

/// One batch from a ZCRX queue, as the zero-copy engine handles it: completion, lease, stage,
/// verdict, refill entry.
@inline(__always)
func zeroCopyBatch<S: Stage & ~Copyable>(
  _ completions: inout CompletionRing, _ refill: inout RefillRing, _ stage: inout S,
  _ batch: inout Batch
) {
  var out = refill
  let ready = min(completions.available(), out.room())
  var index: UInt32 = 0
  while index != ready {
    let entry = unsafe completions.entry(index)
    let tag = OperationTag(rawValue: unsafe entry.pointee.user_data)
    index &+= 1
    guard tag.kindByte == OperationTag.Kind.receive.rawValue else { continue }
    let result = unsafe entry.pointee.res
    let offset = unsafe entry.pointee.zcrx_offset
    guard result > 0 else { continue }
    let lease = Lease(offset: offset, length: UInt32(bitPattern: result), connection: tag.index)
    if let released = stage.take(lease, in: &batch).take() { out.push(offset: released) }
  }
  completions.advance(ready)
  out.publish()
  refill = out
}

/// One batch from a provided-buffer ring, as the copy engine handles it.
@inline(__always)
func providedBatch<S: Stage & ~Copyable>(
  _ completions: inout CompletionRing, _ buffers: inout ProvidedBuffers, _ stage: inout S,
  _ batch: inout Batch
) {
  let ready = completions.available()
  var view = buffers.view
  var index: UInt32 = 0
  while index != ready {
    let entry = unsafe completions.entry(index)
    let tag = OperationTag(rawValue: unsafe entry.pointee.user_data)
    index &+= 1
    guard tag.kindByte == OperationTag.Kind.receive.rawValue else { continue }
    let result = unsafe entry.pointee.res
    let flags = unsafe entry.pointee.flags
    guard result > 0 else { continue }
    var walk = view.walk(
      buffer: UInt16(truncatingIfNeeded: flags &>> UInt32(IK_CQE_BUFFER_SHIFT)),
      bytes: UInt32(bitPattern: result), more: flags & UInt32(IK_CQE_F_BUF_MORE) != 0)
    repeat {
      let (offset, length) = view.claim(&walk)
      let lease = Lease(offset: offset, length: length, connection: tag.index)
      if let released = stage.take(lease, in: &batch).take() {
        view.release(claimed: released)
      }
    } while walk.remaining != 0
  }
  completions.advance(ready)
  view.publish()
  buffers.view = view
}

/// Everything that a loop needs, behind one pointer, so that the counted functions have C names.
struct Bench: ~Copyable {
  var completions: CompletionRing
  var refill: RefillRing
  var buffers: ProvidedBuffers
  var stage = SumStage()
  var batch: Batch
}

@inline(never)
@c(swift_zcrx_loop)
func swiftZeroCopyLoop(_ bench: UnsafeMutableRawPointer) {
  let bench = unsafe bench.assumingMemoryBound(to: Bench.self)
  unsafe zeroCopyBatch(
    &bench.pointee.completions, &bench.pointee.refill, &bench.pointee.stage, &bench.pointee.batch)
}

@inline(never)
@c(swift_pbuf_loop)
func swiftProvidedLoop(_ bench: UnsafeMutableRawPointer) {
  let bench = unsafe bench.assumingMemoryBound(to: Bench.self)
  unsafe providedBatch(
    &bench.pointee.completions, &bench.pointee.buffers, &bench.pointee.stage, &bench.pointee.batch)
}
