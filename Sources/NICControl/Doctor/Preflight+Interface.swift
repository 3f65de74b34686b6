import Glibc

// What all queues of an interface share.
extension Preflight {
  func hardware(_ link: Link) -> Finding {
    let subject = "hardware"
    guard let parent = link.parent else {
      let known = scene.possibility(.hardware, EOPNOTSUPP)
      return Finding(
        .warning, subject, known?.what ?? "\(link.name) does not tell its device",
        remedy: known?.remedy)
    }
    let node = state?.numaNode.map { ", next to memory node \($0)" } ?? ""
    return Finding(.ok, subject, "\(parent.bus) device \(parent.name)\(node)")
  }

  func driver(_ state: NICState) -> Finding {
    let subject = "driver"
    guard let info = state.driver.value else {
      return Finding(
        .warning, subject, "\(state.link.name) does not tell its driver; registering a queue will",
        remedy: DriverFacts.list)
    }
    let version = info.version.isEmpty ? "" : " \(info.version)"
    let firmware = info.firmware.isEmpty ? "" : ", firmware \(info.firmware)"
    let fact = "\(info.driver)\(version)\(firmware)"
    if DriverFacts.isCapable.contains(info.driver) { return Finding(.ok, subject, fact) }
    return Finding(
      .warning, subject, fact + ": not one that is known to hand over queues",
      remedy: "`ingest doctor --ifname \(state.link.name) --queue \(scene.queueNumber) "
        + "--probe-bind` asks it; \(DriverFacts.list)")
  }

  func link(_ link: Link) -> Finding {
    let subject = "link"
    if !link.isUp {
      // The sentence of a driver that refuses it; this one may not.
      let known = scene.possibility(.link, ENETDOWN)
      return Finding(.warning, subject, known?.what ?? "down", remedy: known?.remedy)
    }
    guard link.hasCarrier else {
      return Finding(
        .warning, subject, "\(link.name) is up, but has no carrier: nothing arrives",
        remedy: "`ethtool \(link.name)` shows what it sees of the cable and the other end")
    }
    return Finding(.ok, subject, "up, MTU \(link.mtu)")
  }

  func headerSplit(_ state: NICState) -> Finding {
    let subject = "tcp-data-split"
    guard state.rings.value != nil else {
      let known = scene.possibility(.headerSplit, EINVAL)
      return Finding(.warning, subject, known?.what ?? "not told", remedy: known?.remedy)
    }
    // What was set cannot be read apart from what the driver shows.
    guard let driver = scene.driver, DriverFacts.showsSplitUnset.contains(driver) else {
      return Finding(.ok, subject, "on")
    }
    let known = scene.possibility(.headerSplit, EINVAL)
    return Finding(
      .ok, subject, "on; \(driver) shows that also where nobody has set it, which is refused",
      remedy: known?.remedy)
  }

  func threshold(_ state: NICState) -> Finding {
    let subject = "hds-thresh"
    guard let rings = state.rings.value else {
      return Finding(.warning, subject, "not told: it must be 0")
    }
    guard rings.headerSplitThreshold != nil else {
      return Finding(.ok, subject, "this driver has none")
    }
    return Finding(.ok, subject, "0: every packet is split")
  }

  /// Does not keep a queue from being bound.
  func coalescing(_ state: NICState) -> Finding {
    let subject = "rx-gro-hw"
    guard let features = state.features.value else {
      return Finding(.ok, subject, "not told")
    }
    if features.active.contains(subject) {
      return Finding(.ok, subject, "on: the NIC joins packets, so there are fewer completions")
    }
    guard features.changeable.contains(subject) else {
      return Finding(.ok, subject, "this driver has none")
    }
    return Finding(
      .warning, subject, "off: each packet is a completion of its own",
      remedy: "`ethtool -K \(state.link.name) rx-gro-hw on`")
  }

  /// Neither does this, but without rules only the hash leads to a queue.
  func ntuple(_ state: NICState) -> Finding {
    let subject = "rx-ntuple-filter"
    let name = state.link.name
    guard let features = state.features.value else {
      return Finding(.warning, subject, "\(name) does not tell whether it has n-tuple rules")
    }
    if features.active.contains(subject) { return Finding(.ok, subject, "on") }
    guard features.changeable.contains(subject) else {
      return Finding(
        .warning, subject,
        "\(name) has no n-tuple rules: connections come to a queue by their hash alone")
    }
    return Finding(
      .warning, subject, "off: rules that lead connections to a queue are refused",
      remedy: "`ethtool -K \(name) ntuple on`")
  }

  /// The length of buffers against the memory they are cut from and the packets that they take.
  func buffers() -> Finding {
    let subject = "buffers"
    let length = wish.bufferBytes == 0 ? host.pageBytes : wish.bufferBytes
    if let known = scene.possibility(.buffers, ERANGE) {
      return Finding(.warning, subject, known.what, remedy: known.remedy)
    }
    let mtu = UInt64(state?.link.mtu ?? 0)
    let payload = mtu > Preflight.headerBytes ? mtu - Preflight.headerBytes : mtu
    let pieces = (payload + length - 1) / length
    let isLongest = wish.bufferBytes == 0 && wish.memory != .pages
    let text = isLongest ? "the longest that NIC and memory allow" : sizeText(length)
    guard pieces > 1, !isLongest else {
      return Finding(.ok, subject, "\(text); the payload of a packet (MTU \(mtu)) fits in one")
    }
    return Finding(
      .warning, subject,
      "\(text); the payload of a packet (MTU \(mtu)) is spread over \(pieces), each a completion",
      remedy: "longer buffers need huge pages: `--memory huge2m`, where the driver takes them")
  }

  /// IPv4 and TCP without options: what of the MTU is not payload.
  private static let headerBytes: UInt64 = 40

  /// An RDMA device could take the same memory.
  public func rdma() -> Finding {
    let subject = "RDMA"
    switch surroundings.rdma {
    case .none:
      return Finding(.ok, subject, "\(scene.interface) has no RDMA device: not applicable")
    case .noLibrary(let device):
      return Finding(
        .ok, subject, "\(device.name); libibverbs is not installed, so it was not asked")
    case .notAsked(let device, let why):
      return Finding(.ok, subject, "\(device.name); not asked: \(why)")
    case .takesDMABuf(let device):
      return Finding(.ok, subject, "\(device.name) takes dmabufs")
    case .refusesDMABuf(let device, let errno):
      let text = unsafe String(cString: strerror(errno))
      return Finding(
        .ok, subject,
        "\(device.name) takes no dmabuf (\(text), errno \(errno)); TCP does not need it")
    }
  }
}
