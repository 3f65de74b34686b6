extension AreaBacking {
  /// The memory of each kind, before it is an area.
  struct Made: ~Copyable {
    var mapping: MappedMemory
    var dmabuf: OwnedDescriptor
    var shared = OwnedDescriptor(-1)
    var contiguousBytes = MappedMemory.pageSize
    var hugeBytes = 0
    var isReadable = true
    var isWritable = true
    var remark: String?

    init(
      _ mapping: consuming MappedMemory, dmabuf: consuming OwnedDescriptor = OwnedDescriptor(-1)
    ) {
      self.mapping = mapping
      self.dmabuf = dmabuf
    }
  }

  static func make(_ kind: AreaMemoryKind, bytes: Int, node: Int?) throws(RingError) -> Made {
    switch kind {
    case .pages: try basePages(bytes, node: node)
    case .thp: try transparentPages(bytes, node: node)
    case .huge2m: try hugePages(bytes, shift: 21, node: node)
    case .huge1g: try hugePages(bytes, shift: 30, node: node)
    case .udmabuf(let huge): try udmabuf(bytes, shift: huge ? 21 : 0, node: node)
    case .dmaHeap(let name): try dmaHeap(name, bytes: bytes, node: node)
    case .dmabuf(let descriptor): try given(descriptor, bytes: bytes)
    }
  }

  private static func basePages(_ bytes: Int, node: Int?) throws(RingError) -> Made {
    let what = "an area of \(sizeText(bytes))"
    let mapping = try MappedMemory(what, byteCount: bytes)
    try mapping.bind(to: node)
    mapping.adviseHuge(false)
    try mapping.populate(what)
    return Made(mapping)
  }

  private static func transparentPages(_ bytes: Int, node: Int?) throws(RingError) -> Made {
    let what = "an area of \(sizeText(bytes))"
    let mapping = try MappedMemory(what, byteCount: bytes, alignment: TransparentPages.size)
    return try transparentPages(mapping, what, node: node)
  }

  /// Fills a mapping with as many transparent huge pages as the kernel has.
  static func transparentPages(
    _ mapping: consuming MappedMemory, _ what: String, node: Int?
  ) throws(RingError) -> Made {
    try mapping.bind(to: node)
    mapping.adviseHuge(true)
    try mapping.populate(what)
    let start = unsafe UInt(bitPattern: mapping.base)
    let all = mapping.byteCount
    let range = start..<(start + UInt(all))
    var huge = TransparentPages.bytes(in: range)
    if huge < all {
      mapping.collapse()
      huge = TransparentPages.bytes(in: range)
    }
    var made = Made(mapping)
    made.hugeBytes = huge
    if huge >= all { made.contiguousBytes = TransparentPages.size }
    made.remark = TransparentPages.remark(huge: huge, of: all)
    return made
  }

  private static func hugePages(
    _ bytes: Int, shift: Int, node: Int?
  ) throws(RingError) -> Made {
    let mapping = try mapHugePages(
      bytes, shift: shift, node: node, from: .anonymous(hugeShift: Int32(shift)))
    let all = mapping.byteCount
    var made = Made(mapping)
    made.hugeBytes = all
    made.contiguousBytes = 1 << shift
    return made
  }

  /// Maps and fills memory whose pages come from a hugetlb pool.
  static func mapHugePages(
    _ bytes: Int, shift: Int, node: Int?, from source: MappedMemory.Source
  ) throws(RingError) -> MappedMemory {
    let size = 1 << shift
    let what = "an area of \(sizeText(bytes)) in pages of \(sizeText(size))"
    // As the pool is before this takes from it.
    let remedy = HugePagePool(pageSize: size, node: node)
      .remedy(needed: (bytes + size - 1) / size)
    let mapping = try MappedMemory(
      what, byteCount: bytes, alignment: size, from: source, remedy: remedy)
    try mapping.bind(to: node)
    // The pages were promised when they were mapped, but from any node.
    try mapping.populate(what, remedy: remedy)
    return mapping
  }
}
