import Glibc

/// What to do when a device that exports dmabufs is missing or refuses.
enum DMABufDevices {
  static func udmabufRemedy(_ error: Int32) -> String {
    switch error {
    case EACCES, EPERM: permissionRemedy("/dev/udmabuf")
    case ENOENT, ENODEV, ENXIO:
      "load its driver with `modprobe udmabuf` (kernels built without CONFIG_UDMABUF have none; "
        + "a container needs the device passed in)"
    default: "`dmesg | tail` may say why"
    }
  }

  static func heapRemedy(_ name: String, _ error: Int32) -> String {
    let heaps = KernelFile.names(in: "/dev/dma_heap")
    return heapRemedy(name, error, heaps: heaps)
  }

  static func heapRemedy(_ name: String, _ error: Int32, heaps: [String]) -> String {
    switch error {
    case EACCES, EPERM: permissionRemedy("/dev/dma_heap/\(name)")
    case ENOENT where !heaps.isEmpty:
      "the heaps here are \(heaps.joined(separator: ", ")) (`ls /dev/dma_heap`)"
    case ENOENT, ENODEV, ENXIO:
      "this kernel has no DMA heap (CONFIG_DMABUF_HEAPS, CONFIG_DMABUF_HEAPS_SYSTEM), or the "
        + "container was not given /dev/dma_heap"
    default: "`dmesg | tail` may say why"
    }
  }

  private static func permissionRemedy(_ path: String) -> String {
    "run as root, or as root let a user in: `setfacl -m u:USER:rw \(path)`"
  }

  /// A udmabuf has a size limit that its driver's parameter sets; 64 MiB in many kernels.
  static let limitPath = "/sys/module/udmabuf/parameters/size_limit_mb"

  /// Refuses a size that the driver would answer with EINVAL.
  static func checkUdmabufLimit(_ bytes: Int) throws(RingError) {
    try checkUdmabufLimit(bytes, limit: KernelFile.number(limitPath))
  }

  /// `limit` is in MiB; nil where the kernel does not tell.
  static func checkUdmabufLimit(_ bytes: Int, limit: Int?) throws(RingError) {
    guard let limit, limit >= 0, limit < (bytes + (1 << 20) - 1) >> 20 else { return }
    let wanted = (bytes + (1 << 20) - 1) >> 20
    throw RingError(
      "make a udmabuf of \(sizeText(bytes))", errno: EINVAL,
      remedy: "the limit is \(limit) MiB; as root, `echo \(wanted) > \(limitPath)` raises it")
  }

  /// What UDMABUF_CREATE refuses after the checks above.
  static func udmabufRefusal(_ error: Int32, hugePages: Bool) -> String {
    switch error {
    case ENOMEM: "too little memory is free for it (`free -m`): ask for less"
    case EINVAL, EBADFD:
      hugePages
        ? "this kernel's udmabuf takes no memfds of huge pages (`uname -r`): take ordinary ones"
        : "`cat \(limitPath)` shows its size limit"
    default: "`dmesg | tail` may say why"
    }
  }
}
