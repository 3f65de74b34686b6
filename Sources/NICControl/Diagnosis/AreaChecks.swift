import Glibc

extension RegistrationCheck {
  /// The area: its size, its memory and the buffers that it is cut into.
  static let areaChecks: [RegistrationCheck] = [
    RegistrationCheck(.buffers, EINVAL) { scene in
      let bytes = scene.wish.bufferBytes
      let page = scene.host.pageBytes
      guard bytes != 0, bytes < page || bytes & (bytes - 1) != 0 else { return nil }
      return .certain(
        .refused, "a buffer of \(bytes) bytes is not possible",
        "--buffer takes a power of two from \(page) on")
    },
    RegistrationCheck(.buffers, EOPNOTSUPP) { scene in
      guard scene.wish.target == nil, scene.wish.bufferBytes > scene.host.pageBytes else {
        return nil
      }
      return .certain(
        .notSupported, "without a NIC, buffers are pages of \(scene.host.pageBytes) bytes",
        "leave --buffer out, or name a NIC by --ifname and --queue")
    },
    RegistrationCheck(.area, EINVAL) { scene in
      guard scene.wish.memory == .dmabuf, !scene.host.has(.dmabufAreas) else { return nil }
      return .certain(
        .notSupported, "Linux \(scene.host.kernel) does not take device memory as an area",
        "Linux 6.16 is the first that does; `--memory pages` works here")
    },
    RegistrationCheck(.area, EINVAL) { scene in
      guard scene.wish.memory == .dmabuf, scene.wish.target == nil else { return nil }
      return .certain(
        .refused, "device memory as an area needs a NIC that writes to it",
        "name one by --ifname and --queue, or take `--memory pages`")
    },
    RegistrationCheck(.area, EFAULT, EINVAL) { scene in
      let bytes = scene.wish.areaBytes
      guard bytes == 0 || bytes % scene.host.pageBytes != 0 else { return nil }
      return .certain(
        .refused, "an area of \(bytes) bytes is not possible",
        "--area takes a multiple of the page size, \(scene.host.pageBytes)")
    },
    RegistrationCheck(.area, EFAULT) { scene in
      let bytes = scene.wish.areaBytes
      guard bytes > gibibyte, scene.wish.memory != .dmabuf, !scene.host.has(.largeAreas) else {
        return nil
      }
      return .certain(
        .notSupported,
        "an area of \(sizeText(bytes)) is more than the 1 GiB that Linux \(scene.host.kernel) "
          + "takes",
        "give --area 1GiB or less; Linux 7.2 is the first to take more")
    },
    RegistrationCheck(.area, EINVAL, EOVERFLOW, E2BIG, EFAULT) { scene in
      guard scene.wish.areaBytes > gibibyte << 10 else { return nil }
      return .certain(
        .refused, "an area of \(sizeText(scene.wish.areaBytes)) is more than any kernel takes",
        "give --area 4GiB or less")
    },
    RegistrationCheck(.area, EBADF) { scene in
      guard scene.wish.memory == .dmabuf else { return nil }
      return .possible(
        .refused, "the descriptor given for the area is not open",
        "--memory dmabuf-fd:N takes the number of a descriptor that this process was started with")
    },
    RegistrationCheck(.area, EINVAL) { scene in
      guard scene.wish.memory == .dmabuf else { return nil }
      return .possible(
        .refused,
        "the descriptor given for the area is no dma-buf, or not one of exactly "
          + "\(scene.wish.areaBytes) bytes",
        "--area must be the whole size of the dma-buf: `cat /proc/PID/fdinfo/N` of its owner "
          + "shows it")
    },
    RegistrationCheck(.lockedMemory, ENOMEM) { scene in lockedMemory(scene) },
    RegistrationCheck(.area, EFAULT) { scene in
      guard scene.wish.memory != .dmabuf else { return nil }
      return .possible(
        .refused, "the kernel cannot pin the memory of the area for the NIC",
        "it must be writable and anonymous or of huge pages: `--memory pages`; memory of files "
          + "is refused")
    },
    RegistrationCheck(.buffers, ERANGE) { scene in scattered(scene) },
  ]

  private static let gibibyte: UInt64 = 1 << 30

  /// RLIMIT_MEMLOCK counts the area and the refill queue, of all processes of the user together.
  private static func lockedMemory(_ scene: RegistrationScene) -> RegistrationFinding? {
    guard !scene.host.hasLockRight, let limit = scene.host.lockLimit else { return nil }
    let page = scene.host.pageBytes
    let ring = scene.wish.refillEntries.multipliedReportingOverflow(by: 16).partialValue
    let area = scene.wish.memory == .dmabuf ? 0 : scene.wish.areaBytes
    let needed = area.addingReportingOverflow(ring / page * page + 2 * page).partialValue
    let remedy =
      "`ulimit -l unlimited` in its shell, LimitMEMLOCK=infinity in its systemd unit or "
      + "CAP_IPC_LOCK allow it; a smaller --area needs less"
    if needed > limit {
      return .certain(
        .noPrivilege,
        "the area needs \(sizeText(needed)) of locked memory, \(sizeText(limit)) are allowed",
        remedy)
    }
    return .possible(
      .noPrivilege,
      "the area needs \(sizeText(needed)) of locked memory; of the \(sizeText(limit)) allowed, "
        + "other processes of this user have too much", remedy)
  }

  /// A buffer must lie in one piece of physical memory.
  private static func scattered(_ scene: RegistrationScene) -> RegistrationFinding? {
    let bytes = scene.wish.bufferBytes
    guard bytes > scene.host.pageBytes else { return nil }
    let what = "buffers of \(sizeText(bytes)) do not fit into "
    switch scene.wish.memory {
    case .pages:
      // An IOMMU may still join them.
      return .possible(
        .refused, what + "pages of \(scene.host.pageBytes) bytes",
        "take `--memory huge2m`, or leave --buffer out")
    case .transparentHugePages:
      return .possible(
        .refused, what + "the transparent huge pages that the kernel had for the area",
        "take `--memory huge2m`, or leave --buffer out")
    case .hugePages(let size):
      guard bytes > size else { return nil }
      return .certain(
        .refused, what + "huge pages of \(sizeText(size))", "give --buffer \(size) or less")
    case .dmabuf:
      return .possible(
        .refused, what + "the pieces that the dma-buf is made of",
        "leave --buffer out, or take a dma-buf of larger pieces")
    }
  }
}

/// "64 MiB", where it is a round number; else bytes.
func sizeText(_ bytes: UInt64) -> String {
  for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
    let size: UInt64 = 1 << UInt64(shift)
    if bytes >= size && bytes % size == 0 { return "\(bytes / size) \(unit)" }
  }
  return "\(bytes) bytes"
}
