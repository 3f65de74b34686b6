import Glibc

extension AreaMemoryKind {
  /// Why an area of this kind cannot be made now, in the words of the attempt; nil where nothing is
  /// known that would prevent it. Nothing is taken, so another process may still be faster.
  ///
  /// - Parameters:
  ///   - bytes: of the area.
  ///   - node: the memory node that it must come from; nil for any.
  /// - Cost: some reads of /proc and /sys.
  public func shortage(bytes: Int, node: Int?) -> RingError? {
    switch self {
    case .pages, .thp, .dmabuf: nil
    case .huge2m: AreaMemoryKind.shortage(bytes, pageSize: 2 << 20, node: node)
    case .huge1g: AreaMemoryKind.shortage(bytes, pageSize: 1 << 30, node: node)
    case .udmabuf(let huge):
      AreaMemoryKind.shortage(
        device: "/dev/udmabuf", remedy: { DMABufDevices.udmabufRemedy($0) })
        ?? AreaMemoryKind.shortage(udmabuf: bytes)
        ?? (huge ? AreaMemoryKind.shortage(bytes, pageSize: 2 << 20, node: node) : nil)
    case .dmaHeap(let name):
      AreaMemoryKind.shortage(
        device: "/dev/dma_heap/\(name)", remedy: { DMABufDevices.heapRemedy(name, $0) })
    }
  }

  private static func shortage(_ bytes: Int, pageSize: Int, node: Int?) -> RingError? {
    shortage(
      bytes, machine: HugePagePool(pageSize: pageSize, node: nil),
      near: HugePagePool(pageSize: pageSize, node: node))
  }

  /// Pages are promised by the pool of the machine, and taken from that of the node.
  static func shortage(_ bytes: Int, machine: HugePagePool, near: HugePagePool) -> RingError? {
    let size = near.pageSize
    let needed = (bytes + size - 1) / size
    let what = "an area of \(sizeText(bytes)) in pages of \(sizeText(size))"
    for (pool, step) in [(machine, "map \(what)"), (near, "fault in \(what)")]
    where pool.available < needed {
      return RingError(step, errno: ENOMEM, remedy: near.remedy(needed: needed))
    }
    return nil
  }

  private static func shortage(device path: String, remedy: (Int32) -> String) -> RingError? {
    // As it will be opened.
    let descriptor = unsafe Glibc.open(path, O_RDWR | O_CLOEXEC)
    guard descriptor < 0 else {
      close(descriptor)
      return nil
    }
    let error = errno
    return RingError("open \(path)", errno: error, remedy: remedy(error))
  }

  private static func shortage(udmabuf bytes: Int) -> RingError? {
    do throws(RingError) {
      try DMABufDevices.checkUdmabufLimit(bytes)
      return nil
    } catch {
      return error
    }
  }
}

extension HugePagePool {
  /// Pages that nobody has and nobody was promised.
  var available: Int { max((counts?.free ?? 0) - (counts?.promised ?? 0), 0) }
}
