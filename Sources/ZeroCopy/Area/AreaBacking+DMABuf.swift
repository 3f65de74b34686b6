import CIngestKernel
import Glibc

extension AreaBacking {
  /// The size of a dmabuf, in bytes. Errors: EBADF (not open), ENOTTY (no dmabuf).
  public static func byteCount(ofDMABuf descriptor: Int32) throws(RingError) -> Int {
    // The one request that every dmabuf knows and nothing else does; ended as it was begun.
    let error = ik_dmabuf_sync(descriptor, 1)
    guard error != -EBADF else {
      throw RingError(
        "use descriptor \(descriptor) as a dmabuf", errno: EBADF,
        remedy: "it is not open: what starts this process must pass it on without close-on-exec")
    }
    if error == 0 { _ = ik_dmabuf_sync(descriptor, 0) }
    let size = lseek(descriptor, 0, SEEK_END)
    guard error != -ENOTTY, size > 0 else {
      throw RingError(
        "use descriptor \(descriptor) as a dmabuf", errno: ENOTTY,
        remedy: "it is something else: `ls -l /proc/\(getpid())/fd/\(descriptor)`")
    }
    return Int(size)
  }

  /// The memory is the memfd's, mapped from there: unlike the dmabuf's own mapping it has pages
  /// that the kernel can pin.
  static func udmabuf(_ bytes: Int, shift: Int, node: Int?) throws(RingError) -> Made {
    let device = try openDevice("/dev/udmabuf", remedy: DMABufDevices.udmabufRemedy)
    try DMABufDevices.checkUdmabufLimit(bytes)
    let unit = shift == 0 ? MappedMemory.pageSize : 1 << shift
    let rounded = (bytes + unit - 1) / unit * unit
    let memfd = OwnedDescriptor(ik_memfd(rounded, Int32(shift)))
    guard memfd.value >= 0 else {
      throw RingError(
        "make a memfd of \(sizeText(rounded))", errno: -memfd.value,
        remedy: shift == 0
          ? "`sysctl vm.memfd_noexec` and the container's seccomp profile may forbid memfds"
          : HugePagePool(pageSize: unit, node: nil).remedy(needed: rounded / unit))
    }
    let mapping = try map(memfd: memfd.value, bytes, shift: shift, node: node)
    let exported = ik_udmabuf(device.value, memfd.value, bytes)
    guard exported >= 0 else {
      throw RingError(
        "export \(sizeText(bytes)) as a udmabuf", errno: -exported,
        remedy: DMABufDevices.udmabufRefusal(-exported, hugePages: shift != 0))
    }
    var made = Made(mapping, dmabuf: OwnedDescriptor(exported))
    if shift != 0 { made.hugeBytes = rounded }
    return made
  }

  /// Bound to its node through the mapping: a memfd's pages are where they are first touched.
  private static func map(
    memfd: Int32, _ bytes: Int, shift: Int, node: Int?
  ) throws(RingError) -> MappedMemory {
    let source = MappedMemory.Source.descriptor(memfd, writable: true)
    if shift != 0 { return try mapHugePages(bytes, shift: shift, node: node, from: source) }
    let what = "a memfd of \(sizeText(bytes))"
    let mapping = try MappedMemory(what, byteCount: bytes, from: source)
    try mapping.bind(to: node)
    try mapping.populate(what)
    return mapping
  }

  static func dmaHeap(_ name: String, bytes: Int, node: Int?) throws(RingError) -> Made {
    let heap = try openDevice("/dev/dma_heap/\(name)") { DMABufDevices.heapRemedy(name, $0) }
    var exported = ik_heap_allocate(heap.value, bytes, O_RDWR, Int32(clamping: node ?? -1))
    // A kernel without NUMA has node 0 alone.
    if exported == -ENOSYS && node == 0 {
      exported = ik_heap_allocate(heap.value, bytes, O_RDWR, -1)
    }
    guard exported >= 0 else {
      let remedy =
        exported == -EINVAL
        ? NUMANodes.remedy : "too little memory is free for it (`free -m`): ask for less"
      throw RingError(
        "allocate \(sizeText(bytes)) from the DMA heap \(name)", errno: -exported,
        remedy: remedy)
    }
    return try map(dmabuf: OwnedDescriptor(exported), bytes: bytes)
  }

  static func given(_ descriptor: Int32, bytes: Int) throws(RingError) -> Made {
    let size = try byteCount(ofDMABuf: descriptor)
    guard size == bytes else {
      throw RingError(
        "make an area of \(bytes) bytes of a dmabuf of \(size)", errno: EINVAL,
        remedy: "the area of a dmabuf is all of it, in whole buffers")
    }
    let dmabuf = OwnedDescriptor(ik_duplicate(descriptor))
    guard dmabuf.value >= 0 else {
      throw RingError("duplicate descriptor \(descriptor)", errno: -dmabuf.value)
    }
    return try map(dmabuf: dmabuf, bytes: bytes)
  }

  /// Maps a dmabuf as far as its exporter allows it.
  private static func map(
    dmabuf: consuming OwnedDescriptor, bytes: Int
  ) throws(RingError) -> Made {
    if let mapping = try map(dmabuf.value, bytes: bytes, writable: true) {
      return Made(mapping, dmabuf: dmabuf)
    }
    if let mapping = try map(dmabuf.value, bytes: bytes, writable: false) {
      var made = Made(mapping, dmabuf: dmabuf)
      made.isWritable = false
      return made
    }
    let addresses = try MappedMemory("addresses for a dmabuf", byteCount: bytes, from: .nothing)
    var made = Made(addresses, dmabuf: dmabuf)
    made.isReadable = false
    made.isWritable = false
    return made
  }

  /// Nil where the exporter does not let this be mapped.
  private static func map(
    _ dmabuf: Int32, bytes: Int, writable: Bool
  ) throws(RingError) -> MappedMemory? {
    do throws(RingError) {
      return try MappedMemory(
        "a dmabuf of \(sizeText(bytes))", byteCount: bytes,
        from: .descriptor(dmabuf, writable: writable))
    } catch {
      if error.errno == ENOMEM { throw error }
      return nil
    }
  }

  private static func openDevice(
    _ path: String, remedy: (Int32) -> String
  ) throws(RingError) -> OwnedDescriptor {
    let descriptor = unsafe Glibc.open(path, O_RDWR | O_CLOEXEC)
    guard descriptor >= 0 else {
      let error = errno
      throw RingError("open \(path)", errno: error, remedy: remedy(error))
    }
    return OwnedDescriptor(descriptor)
  }
}
