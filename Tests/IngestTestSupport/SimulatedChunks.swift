import CIngestKernel
import RingCore

/// The kernel's side of an interface queue's memory: which chunk is free, who refers to it, and
/// the refill ring, which it reads as the kernel does (io_uring/zcrx.c).
///
/// Where the kernel is silent about a user's mistake this one writes it down: see ``violations``.
@safe
final class SimulatedChunks {
  private(set) var violations: [String] = []
  let chunkSize: Int
  private let area: UnsafeMutableRawPointer
  private let token: UInt64
  /// References of the user's, one for each completion, and whether a packet still lies there.
  private var owed: [Int]
  private var inSocket: [Int]
  private var free: [UInt32]
  private let head: UnsafeMutablePointer<UInt32>
  private let tail: UnsafeMutablePointer<UInt32>
  private let entries: UnsafeMutablePointer<ik_zcrx_rqe>
  private let capacity: UInt32
  private var position: UInt32 = 0
  private let takesCopies: Bool

  /// Binds the area, and lays the refill ring out in the region that came with it.
  init(_ binding: inout ik_zcrx_binding, takesCopies: Bool) {
    chunkSize = binding.buffer_length == 0 ? 4096 : Int(binding.buffer_length)
    unsafe area = UnsafeMutableRawPointer(bitPattern: UInt(binding.area))!
    let region = unsafe UnsafeMutableRawPointer(bitPattern: UInt(binding.region))!
    capacity = binding.entries <= 1 ? 1 : 1 << (32 - (binding.entries - 1).leadingZeroBitCount)
    binding.entries = capacity
    binding.offsets.head = 0
    binding.offsets.tail = 64
    binding.offsets.rqes = 128
    unsafe head = region.assumingMemoryBound(to: UInt32.self)
    unsafe tail = (region + 64).assumingMemoryBound(to: UInt32.self)
    unsafe entries = (region + 128).assumingMemoryBound(to: ik_zcrx_rqe.self)
    let count = Int(binding.area_bytes) / chunkSize
    token = binding.area_token
    self.takesCopies = takesCopies
    owed = Array(repeating: 0, count: count)
    inSocket = Array(repeating: 0, count: count)
    free = Array((0..<UInt32(count)).reversed())
  }

  var count: Int { owed.count }
  var freeCount: Int { free.count }

  /// A chunk for the NIC, as its page pool takes one: what was given back goes first.
  func take() -> UInt32? {
    readRefill(limit: 64)
    return free.popLast()
  }

  /// A chunk to copy into: only what is free already, not what waits in the refill ring; never of
  /// a dmabuf.
  func takeForCopy() -> UInt32? { takesCopies ? free.popLast() : nil }

  func write(_ bytes: ArraySlice<UInt8>, to chunk: UInt32, at start: Int) {
    unsafe bytes.withUnsafeBytes { source in
      unsafe (area + Int(chunk) * chunkSize + start)
        .copyMemory(from: source.baseAddress!, byteCount: source.count)
    }
  }

  /// A packet lies in the chunk, or does not any more.
  func packet(in chunk: UInt32, _ change: Int) {
    inSocket[Int(chunk)] += change
    release(chunk)
  }

  /// A completion names the chunk.
  func reference(_ chunk: UInt32) { owed[Int(chunk)] += 1 }

  func offset(of chunk: UInt32, _ start: Int) -> UInt64 {
    token | UInt64(Int(chunk) * chunkSize + start)
  }

  /// Reads at most `limit` refill entries.
  func readRefill(limit: UInt32 = .max) {
    let waiting = unsafe ik_load_acquire_u32(tail) &- position
    if waiting > capacity {
      violations.append("\(waiting) entries in a refill ring of \(capacity): overwritten")
    }
    for _ in 0..<min(waiting, capacity, limit) {
      let entry = unsafe entries[Int(position & (capacity - 1))]
      position &+= 1
      let chunk = Int(entry.off & AreaLayout.offsetMask) / chunkSize
      if chunk >= owed.count {
        violations.append("a refill entry for offset \(entry.off), outside the area")
      } else if owed[chunk] == 0 {
        violations.append("a refill entry too many for chunk \(chunk)")
      } else {
        owed[chunk] -= 1
        release(UInt32(chunk))
      }
    }
    unsafe ik_store_release_u32(head, position)
  }

  private func release(_ chunk: UInt32) {
    if owed[Int(chunk)] == 0 && inSocket[Int(chunk)] == 0 { free.append(chunk) }
  }

  /// What went wrong, chunks that never came back included. Empty when all is well.
  func audit() -> [String] {
    readRefill()
    let lost = owed.enumerated().filter { $0.element > 0 }.map {
      "chunk \($0.offset) still owes \($0.element) refill entries"
    }
    let twice = Set(free).count != free.count ? ["a chunk is free twice"] : []
    return violations + lost + twice
  }
}
