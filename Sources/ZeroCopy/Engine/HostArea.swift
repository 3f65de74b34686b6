import CIngestKernel
public import RingCore

/// An area in ordinary memory: private, page-aligned, faulted in at start, not inherited by fork.
/// Unmapped when let go of, so whatever registered it (a ring) must go first.
@safe
public struct HostArea: ~Copyable {
  public let layout: AreaLayout
  let base: UnsafeMutableRawPointer
  var dmabuf: Int32? { nil }

  /// What backs the memory.
  public enum Pages: Sendable {
    /// Base pages only.
    case small
    /// Transparent huge pages where the kernel has some (madvise(2), MADV_HUGEPAGE).
    case transparentHuge
  }

  /// Maps `layout.byteCount` bytes.
  ///
  /// - Cost: one mmap(2), two madvise(2), one fault per page.
  public init(_ layout: AreaLayout, pages: Pages = .small) throws(RingError) {
    var address: UnsafeMutableRawPointer?
    let kind = pages == .transparentHuge ? IK_PAGES_THP : IK_PAGES_SMALL
    let error = unsafe ik_map_anonymous(layout.byteCount, kind, &address)
    guard error == 0, let address = unsafe address else {
      throw RingError("map an area of \(layout.byteCount) bytes", errno: -error)
    }
    self.layout = layout
    unsafe base = address
  }

  deinit { unsafe ik_unmap(base, layout.byteCount) }

  /// A view for stages; valid while this value lives.
  public var memory: AreaMemory { unsafe AreaMemory(unsafeBase: base, layout: layout) }
}
