import CIngestKernel
import Glibc
public import RingCore

/// The memory of an area: mapped, faulted in, bound to a NUMA node where asked for, and exported as
/// a dmabuf where its kind is one. Released when let go of, so whatever registered it (a ring) must
/// go first.
///
/// It lies between two pages that nothing may touch, is not inherited by fork, and is left out of
/// core dumps: it holds what the network sent. The kernel accounts it to RLIMIT_MEMLOCK not here
/// but where a ring registers it for zero-copy receive.
@safe
public struct AreaBacking: ~Copyable {
  public let layout: AreaLayout
  /// The layout with the reserve: buffers behind those that are received into, for the CPU alone.
  public let fullLayout: AreaLayout
  public let kind: AreaMemoryKind
  /// The node that the memory was bound to; nil where it comes from wherever the thread ran, or
  /// from an exporter's own memory.
  public let numaNode: Int?
  /// Whether the CPU may read, and write, through ``memory``. A dmabuf's exporter may allow
  /// neither: the area can then be received into by a NIC, and handed on by descriptor, only.
  public let isReadable: Bool
  public let isWritable: Bool
  /// Aligned pieces of this many bytes are physically contiguous on any machine, so buffers may be
  /// as long. A dmabuf's exporter may have done better, and an IOMMU may merge more: trying
  /// (``BufferLengthTrial``) tells.
  public let contiguousBytes: Int
  /// Bytes of the area in pages of 2 MiB or more.
  public let hugeBytes: Int
  /// Why the memory is not quite what was asked for.
  public let remark: String?

  private let mapping: MappedMemory
  private let dmabuf: OwnedDescriptor
  private let shared: OwnedDescriptor

  /// Makes the memory of an area.
  ///
  /// `numaNode` is where memory must come from, such as the NIC's node; nil or -1 (what sysfs says
  /// of a device on a machine with one node) leaves it to the kernel, which prefers the node that
  /// this thread runs on. A dmabuf from elsewhere stays where it is.
  ///
  /// Errors name the step, and what to do: memory, hugetlb pages, devices or rights that lack. For
  /// a given dmabuf EINVAL means that the layout does not cover it exactly.
  ///
  /// `reserve` buffers of the layout's size lie right behind it, if they fit into 2 MiB and what
  /// can be named (4 GiB); a device never sees them. An area that can be shared, and one that the
  /// CPU cannot read, has none.
  ///
  /// With `shared` the memory is a memfd's, for ``sharedDescriptor``; a dmabuf cannot be (EINVAL).
  ///
  /// - Cost: every page is faulted in and zeroed before this returns: tenths of a second to a
  ///   second per GiB, about three times as long on base pages as on huge ones. Transparent huge
  ///   pages also read /proc/self/smaps.
  public init(
    _ layout: AreaLayout, kind: AreaMemoryKind = .pages, numaNode: Int? = nil,
    reserve: Int = 0, shared isShared: Bool = false
  ) throws(RingError) {
    let node = numaNode.flatMap { $0 < 0 ? nil : $0 }
    let made =
      isShared
      ? try AreaBacking.makeShared(kind, bytes: layout.byteCount, node: node)
      : try AreaBacking.make(kind, bytes: layout.byteCount, node: node)
    let hasReserve = !isShared && made.isReadable
    fullLayout =
      hasReserve ? try AreaBacking.extend(layout, by: reserve, made.mapping) : layout
    self.layout = layout
    self.kind = kind
    self.numaNode = if case .dmabuf = kind { nil } else { node }
    isReadable = made.isReadable
    isWritable = made.isWritable
    contiguousBytes = made.contiguousBytes
    hugeBytes = min(made.hugeBytes, layout.byteCount)
    remark = made.remark
    mapping = made.mapping
    dmabuf = made.dmabuf
    shared = made.shared
  }

  public var byteCount: Int { layout.byteCount }

  /// Puts the reserve behind the layout's last buffer; what does not fit is left out.
  private static func extend(
    _ layout: AreaLayout, by reserve: Int, _ mapping: borrowing MappedMemory
  ) throws(RingError) -> AreaLayout {
    let size = Int(layout.bufferSize)
    let bytes = reserve * size
    guard reserve > 0, bytes <= MappedMemory.longestTail,
      let full = AreaLayout(bufferSize: size, bufferCount: Int(layout.bufferCount) + reserve)
    else { return layout }
    // Whole huge pages may reach beyond the layout.
    let missing = full.byteCount - mapping.byteCount
    if missing > 0 { try mapping.extend("a reserve of \(sizeText(bytes))", by: missing) }
    return full
  }

  /// A view for stages; valid while this value lives. Where ``isReadable`` is false its addresses
  /// are reserved but any access to them ends the process.
  ///
  /// A mapped dmabuf has no pages that the kernel could pin, other than of a ``udmabuf``: requests
  /// that need them (O_DIRECT, registered buffers, zero-copy send) answer EFAULT.
  public var memory: AreaMemory { unsafe AreaMemory(unsafeBase: mapping.base, layout: fullLayout) }

  /// The dmabuf, for a registration or for another device; nil where the kind has none. It is this
  /// value's to close.
  public var dmabufDescriptor: Int32? { dmabuf.value >= 0 ? dmabuf.value : nil }

  /// The memory for another process to map, from offset 0 and with PROT_READ alone: whoever has
  /// this descriptor can neither write the area nor change its size. Nil unless asked for; it is
  /// this value's to close.
  public var sharedDescriptor: Int32? { shared.value >= 0 ? shared.value : nil }

  /// What it is, for people: `64 MiB of 2 MiB huge pages on node 0`.
  public var description: String {
    var text = "\(sizeText(byteCount)) \(kind.phrase)"
    if kind == .thp && hugeBytes < byteCount { text += ", \(sizeText(hugeBytes)) of them huge" }
    if let numaNode { text += " on node \(numaNode)" }
    if !isReadable { text += ", which the CPU cannot read" }
    return text
  }

  // MARK: Reading a dmabuf with the CPU

  /// Announces that the CPU reads what a device has written; ``endReading()`` follows. Only a
  /// dmabuf has anything to do.
  ///
  /// Needed where the exporter moves or bounces memory (a GPU's) and on machines whose DMA does
  /// not go through the CPU's caches. With ordinary memory behind it, on x86 and on servers with
  /// coherent PCIe, the CPU sees what was written without it (Linux, Documentation/driver-api/
  /// dma-buf.rst). It is about the whole dmabuf, so it is no call for each batch.
  ///
  /// The kernel call is DMA_BUF_IOCTL_SYNC.
  public func beginReading() throws(RingError) { try sync(begin: true) }

  /// Ends what ``beginReading()`` began: devices may write again.
  public func endReading() throws(RingError) { try sync(begin: false) }

  private func sync(begin: Bool) throws(RingError) {
    guard dmabuf.value >= 0 else { return }
    let error = ik_dmabuf_sync(dmabuf.value, begin ? 1 : 0)
    guard error == 0 else {
      throw RingError(
        "\(begin ? "begin" : "end") reading the area's dmabuf", errno: -error,
        remedy: "its exporter refused: `dmesg | tail`")
    }
  }

  /// Calls `body` with the area's bytes as a device has them: through the dmabuf's own mapping,
  /// between ``beginReading()`` and ``endReading()``, or in place where there is no dmabuf. The
  /// span cannot leave the closure.
  ///
  /// - Cost: for a dmabuf mmap(2), two ioctl(2), munmap(2) and a fault per page read.
  public func withDeviceView<Result>(
    _ body: (RawSpan) -> Result
  ) throws(RingError) -> Result {
    guard dmabuf.value >= 0 else {
      return body(unsafe RawSpan(_unsafeStart: mapping.base, byteCount: byteCount))
    }
    let view = try MappedMemory(
      "the area's dmabuf", byteCount: byteCount,
      from: .descriptor(dmabuf.value, writable: false))
    try beginReading()
    // As many bytes as the layout has are mapped, and `view` outlives the call.
    let result = body(unsafe RawSpan(_unsafeStart: view.base, byteCount: byteCount))
    try endReading()
    return result
  }
}

extension AreaMemoryKind {
  /// What follows a size.
  fileprivate var phrase: String {
    switch self {
    case .pages: "of \(sizeText(MappedMemory.pageSize)) pages"
    case .thp: "of transparent huge pages"
    case .huge2m: "of 2 MiB huge pages"
    case .huge1g: "of 1 GiB huge pages"
    case .udmabuf(let huge): "in a udmabuf of \(huge ? "2 MiB huge pages" : "ordinary pages")"
    case .dmaHeap(let name): "from the DMA heap \(name)"
    case .dmabuf(let descriptor): "in the dmabuf of descriptor \(descriptor)"
    }
  }
}
