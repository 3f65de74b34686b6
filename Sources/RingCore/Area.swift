public import CIngestKernel

/// The shape of an area: how many buffers of what size, and the arithmetic between an offset and
/// the buffer that holds it. Sizes are in bytes; the buffer size is a power of two of at least
/// 4096, the area at most 4 GiB (Linux up to 7.2 computes completion offsets in 32 bits:
/// io_uring/zcrx.c, io_zcrx_queue_cqe).
@frozen
public struct AreaLayout: Equatable, Sendable, BitwiseCopyable {
  public let bufferShift: UInt32
  public let bufferCount: UInt32

  /// Nil when the numbers make no area: buffer size not a power of two or below a page, no buffer,
  /// or more than 4 GiB in all.
  @inlinable
  public init?(bufferSize: Int, bufferCount: Int) {
    guard bufferSize >= 4096, bufferSize <= 1 << 30, bufferSize & (bufferSize - 1) == 0,
      bufferCount > 0, bufferCount <= AreaLayout.limit / bufferSize
    else { return nil }
    self.bufferShift = UInt32(bufferSize.trailingZeroBitCount)
    self.bufferCount = UInt32(bufferCount)
  }

  /// 4 GiB.
  @inlinable public static var limit: Int { 1 << 32 }

  @inlinable @inline(__always) public var bufferSize: UInt32 { 1 &<< bufferShift }
  @inlinable @inline(__always) public var byteCount: Int { Int(bufferCount) &<< Int(bufferShift) }

  /// The buffer that holds an offset. The bits above 48 (the kernel's area id) are ignored.
  @inlinable @inline(__always)
  public func buffer(at offset: UInt64) -> UInt32 {
    UInt32(truncatingIfNeeded: (offset & AreaLayout.offsetMask) &>> UInt64(bufferShift))
  }

  @inlinable @inline(__always)
  public func offset(of buffer: UInt32) -> UInt64 { UInt64(buffer) &<< UInt64(bufferShift) }

  /// IORING_ZCRX_AREA_SHIFT: the upper 16 bits of a completion offset name the area.
  @inlinable @inline(__always)
  public static var offsetMask: UInt64 { (1 << 48) - 1 }
}

/// A view of an area's memory. It does not own it: the engine that made the batch does, and keeps
/// it mapped for as long as any lease, held or not, is out.
@frozen @safe
public struct AreaMemory {
  public let layout: AreaLayout
  @usableFromInline let base: UnsafeMutableRawPointer

  /// `base` must point to `layout.byteCount` bytes that outlive every use of this view.
  @inlinable @unsafe
  public init(unsafeBase base: UnsafeMutableRawPointer, layout: AreaLayout) {
    unsafe self.base = base
    self.layout = layout
  }

  /// Calls `body` with the bytes of a lease, in place. The span cannot leave the closure.
  ///
  /// - Cost: an addition; bounds are checked by the span.
  @inlinable @inline(__always)
  public func withBytes<R>(of lease: borrowing Lease, _ body: (RawSpan) throws -> R) rethrows -> R {
    // The engine made the lease from a completion inside this area (pair check: it verified the
    // end against byteCount), so the range is mapped.
    let start = unsafe UnsafeRawPointer(
      base + Int(truncatingIfNeeded: lease.offset & AreaLayout.offsetMask))
    return try body(unsafe RawSpan(_unsafeStart: start, byteCount: Int(lease.length)))
  }

  /// Asks the CPU for the first cache line at an offset, which is soon to be read: what a network
  /// card wrote is in none of its own caches. Any offset will do, it is a hint.
  @inlinable @inline(__always)
  public func prefetch(at offset: UInt64) {
    unsafe ik_prefetch(base + Int(truncatingIfNeeded: offset & AreaLayout.offsetMask))
  }

  /// The address of an offset, for code that hands it to the kernel or to a C library.
  @inlinable @inline(__always) @unsafe
  public func address(of offset: UInt64) -> UnsafeMutableRawPointer {
    unsafe base + Int(truncatingIfNeeded: offset & AreaLayout.offsetMask)
  }
}
