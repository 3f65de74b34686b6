/// What kind of memory is behind an area.
///
/// Larger contiguous pieces allow larger buffers, where the NIC's driver takes them: a zero-copy
/// receive demands that each physically contiguous segment is a multiple of the buffer length
/// (io_uring/zcrx.c, io_zcrx_create_area).
public enum AreaMemoryKind: Equatable, Sendable {
  /// Base pages only, whatever the system does with transparent huge pages.
  case pages
  /// 2 MiB pages where the kernel has some left; the rest is base pages.
  case thp
  /// 2 MiB pages that were set aside (vm.nr_hugepages).
  case huge2m
  /// 1 GiB pages that were set aside, best at boot.
  case huge1g
  /// Pages of a memfd, exported as a dmabuf by /dev/udmabuf; with `hugePages` 2 MiB ones that were
  /// set aside. The kernel never copies payload into a dmabuf: for tests of that path, and for
  /// handing an area to other devices.
  case udmabuf(hugePages: Bool)
  /// A dmabuf from the DMA heap of this name in /dev/dma_heap; `system` is ordinary memory.
  case dmaHeap(String)
  /// A dmabuf that something else exported, such as a GPU's driver. The descriptor is duplicated
  /// and stays the caller's to close. The area is the whole dmabuf.
  case dmabuf(Int32)

  /// Whether it is known to devices by a descriptor. Zero-copy receive takes such memory only for
  /// the queue of a device, and copies nothing into it (io_uring/zcrx.c, io_import_dmabuf).
  public var isDMABuf: Bool {
    switch self {
    case .pages, .thp, .huge2m, .huge1g: false
    case .udmabuf, .dmaHeap, .dmabuf: true
    }
  }

  /// How long the physically contiguous pieces are that it is made of, where that is known.
  public var contiguousBytes: Int {
    switch self {
    case .pages, .udmabuf, .dmaHeap, .dmabuf: MappedMemory.pageSize
    case .thp: TransparentPages.size
    case .huge2m: 2 << 20
    case .huge1g: 1 << 30
    }
  }
}
