import CIngestKernel
import Glibc
import RingCore

/// The memory of a refill ring: header, entries, statistics. Mapped by us, or by the kernel.
@safe
struct RefillRegion: ~Copyable {
  private var base: UnsafeMutableRawPointer?
  /// Nil where the kernel provides the memory.
  private let own: MappedMemory?
  private let isOwn: Bool
  private let shape: Shape

  /// Header, entries, statistics, rounded up to pages.
  struct Shape {
    let bytes: Int
    /// 0 where no statistics are kept.
    let statsOffset: Int

    /// The entries start after the header, where the kernel says once it is registered; twice the
    /// header's size (64 bytes today) leaves room for any alignment.
    init(entries: UInt32, header: Int, stats: Bool) {
      let page = Int(getpagesize())
      let rounded = entries <= 1 ? 1 : 1 << (32 - (entries - 1).leadingZeroBitCount)
      let used = max(header, 64) * 2 + 16 * rounded + (stats ? 64 : 0)
      bytes = (used + page - 1) / page * page
      // At the end, on a cache line of its own.
      statsOffset = stats ? bytes - 64 : 0
    }
  }

  init(_ shape: Shape, _ kind: ZCRXOptions.RefillMemory) throws(RingError) {
    self.shape = shape
    isOwn = kind == .user
    guard kind == .user else {
      unsafe base = nil
      own = nil
      return
    }
    let what = "a refill ring of \(shape.bytes) bytes"
    let memory = try MappedMemory(what, byteCount: shape.bytes)
    try memory.populate(what)
    unsafe base = memory.base
    own = consume memory
  }

  deinit {
    if !isOwn, let base = unsafe base { unsafe munmap(base, shape.bytes) }
  }

  func describe(_ binding: inout ik_zcrx_binding) {
    binding.region = UInt64(UInt(bitPattern: unsafe base))
    binding.region_bytes = UInt64(shape.bytes)
    binding.stats_offset = UInt64(shape.statsOffset)
  }

  /// Maps what the kernel provided, after registration.
  mutating func mapped(
    by ring: borrowing Ring, _ binding: ik_zcrx_binding
  ) throws(RingError) {
    guard unsafe base == nil else { return }
    var address: UnsafeMutableRawPointer?
    let error = unsafe ring.mapRegion(binding, &address)
    guard error == 0 else {
      throw RingError("map the kernel's refill ring of \(shape.bytes) bytes", errno: error)
    }
    unsafe base = address
  }

  /// The producer's side; the region is mapped by now.
  func ring(_ binding: ik_zcrx_binding) -> RefillRing {
    invariant(unsafe base != nil, "a refill ring is mapped before it is used")
    let base = unsafe base!
    return unsafe RefillRing(
      unsafeHead: (base + Int(binding.offsets.head)).assumingMemoryBound(to: UInt32.self),
      tail: (base + Int(binding.offsets.tail)).assumingMemoryBound(to: UInt32.self),
      entries: (base + Int(binding.offsets.rqes)).assumingMemoryBound(to: ik_zcrx_rqe.self),
      capacity: binding.entries)
  }

  /// The second word of zcrx_stats.
  var copiedBytes: UInt64? {
    guard shape.statsOffset != 0, let base = unsafe base else { return nil }
    let stats = unsafe (base + shape.statsOffset).assumingMemoryBound(to: UInt64.self)
    return unsafe ik_load_relaxed_u64(stats + 1)
  }
}
