import CFloor
import RingCore

/// An area whose buffers are visited in random order, as a network card leaves them: the stream
/// goes on in the buffer that `order` names next.
@safe
struct Memory: ~Copyable {
  let layout: AreaLayout
  let base: UnsafeMutableRawPointer
  let order: UnsafeMutablePointer<UInt32>
  let count: Int

  init(bytes: Int, bufferSize: Int) {
    guard let layout = AreaLayout(bufferSize: bufferSize, bufferCount: bytes / bufferSize) else {
      fatalError("an area of \(bytes) bytes has no buffers of \(bufferSize)")
    }
    self.layout = layout
    count = Int(layout.bufferCount)
    unsafe base = UnsafeMutableRawPointer.allocate(byteCount: layout.byteCount, alignment: 4096)
    unsafe order = UnsafeMutablePointer<UInt32>.allocate(capacity: count)
    for index in 0..<count { unsafe (order + index).initialize(to: UInt32(index)) }
    var random: UInt64 = 0x9e37_79b9_7f4a_7c15
    for index in stride(from: count - 1, to: 0, by: -1) {
      random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let other = Int(random >> 33) % (index + 1)
      let kept = unsafe order[index]
      unsafe order[index] = order[other]
      unsafe order[other] = kept
    }
  }

  deinit {
    unsafe base.deallocate()
    unsafe order.deallocate()
  }

  /// Puts a stream of at least as many bytes as the area has into it.
  func fill(with stream: [UInt8]) {
    let size = Int(layout.bufferSize)
    unsafe stream.withUnsafeBytes { bytes in
      guard let from = bytes.baseAddress, bytes.count >= layout.byteCount else {
        fatalError("the stream is shorter than the area")
      }
      for index in 0..<count {
        unsafe (base + Int(order[index]) * size).copyMemory(
          from: from + index * size, byteCount: size)
      }
    }
  }

  /// All of it, or part of each buffer.
  func walk(skip: Int = 0, length: Int? = nil) -> floor_walk {
    unsafe floor_walk(
      base: base.assumingMemoryBound(to: UInt8.self), order: order, count: count,
      stride: Int(layout.bufferSize), skip: skip, length: length ?? Int(layout.bufferSize))
  }

  var area: AreaMemory { unsafe AreaMemory(unsafeBase: base, layout: layout) }
}
