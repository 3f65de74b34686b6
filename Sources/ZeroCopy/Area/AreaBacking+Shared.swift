import CIngestKernel

extension AreaBacking {
  /// Memory of a memfd that other processes can map, but not write: what the mapping here may do
  /// was settled before the memfd was sealed against writers.
  ///
  /// Pages are filled by the mapping, as for private memory. The kernel pins and fills pages of a
  /// memfd like any other (mm/gup.c: shared memory has no dirty tracking that would forbid it).
  static func makeShared(
    _ kind: AreaMemoryKind, bytes: Int, node: Int?
  ) throws(RingError) -> Made {
    switch kind {
    case .pages, .thp: return try sharedPages(kind, bytes: bytes, node: node)
    case .huge2m: return try sharedHugePages(bytes, shift: 21, node: node)
    case .huge1g: return try sharedHugePages(bytes, shift: 30, node: node)
    case .udmabuf, .dmaHeap, .dmabuf:
      throw RingError(
        "share an area in a dmabuf with another process", errno: EINVAL,
        remedy: "take memory of the kinds pages, thp, huge2m or huge1g")
    }
  }

  private static func sharedPages(
    _ kind: AreaMemoryKind, bytes: Int, node: Int?
  ) throws(RingError) -> Made {
    let unit = kind == .thp ? TransparentPages.size : MappedMemory.pageSize
    let what = "a shared area of \(sizeText(bytes))"
    let memfd = try memfd(bytes, unit: unit, shift: 0)
    let mapping = try MappedMemory(
      what, byteCount: bytes, alignment: unit, from: .descriptor(memfd.value, writable: true))
    if kind == .thp {
      var made = try transparentPages(mapping, what, node: node)
      made.shared = try sealed(memfd.value)
      return made
    }
    try mapping.bind(to: node)
    mapping.adviseHuge(false)
    try mapping.populate(what)
    var made = Made(mapping)
    made.shared = try sealed(memfd.value)
    return made
  }

  private static func sharedHugePages(
    _ bytes: Int, shift: Int, node: Int?
  ) throws(RingError) -> Made {
    let memfd = try memfd(bytes, unit: 1 << shift, shift: shift)
    let mapping = try mapHugePages(
      bytes, shift: shift, node: node, from: .descriptor(memfd.value, writable: true))
    let all = mapping.byteCount
    var made = Made(mapping)
    made.hugeBytes = all
    made.contiguousBytes = 1 << shift
    made.shared = try sealed(memfd.value)
    return made
  }

  /// A memfd of whole units: its mapping has as many.
  private static func memfd(
    _ bytes: Int, unit: Int, shift: Int
  ) throws(RingError) -> OwnedDescriptor {
    let rounded = (bytes + unit - 1) / unit * unit
    let memfd = OwnedDescriptor(ik_memfd(rounded, Int32(shift)))
    guard memfd.value >= 0 else {
      throw RingError(
        "make a memfd of \(sizeText(rounded))", errno: -memfd.value,
        remedy: shift == 0
          ? "`sysctl vm.memfd_noexec` and the container's seccomp profile may forbid memfds"
          : HugePagePool(pageSize: unit, node: nil).remedy(needed: rounded / unit))
    }
    return memfd
  }

  private static func sealed(_ memfd: Int32) throws(RingError) -> OwnedDescriptor {
    let shared = OwnedDescriptor(ik_memfd_share(memfd))
    guard shared.value >= 0 else {
      throw RingError(
        "open a memfd for reading only", errno: -shared.value,
        remedy: "it is opened through /proc/self/fd: is /proc mounted? (`mount | grep proc`)")
    }
    return shared
  }
}
