import Glibc

extension RegistrationCheck {
  /// The NIC's queue and its settings (net/core/netdev_rx_queue.c).
  static let queueChecks: [RegistrationCheck] = [
    RegistrationCheck(.queue, ERANGE) { scene in
      guard let target = scene.wish.target, let count = scene.state?.receiveQueueCount,
        target.queue >= count
      else { return nil }
      return .certain(
        .refused, "\(target.interface) has no queue \(target.queue)", missingQueue(scene, count))
    },
    RegistrationCheck(.owner, EBUSY, EOPNOTSUPP) { scene in
      guard let lease = scene.queue?.lease, scene.link?.parent != nil else { return nil }
      return .certain(
        .refused, "\(scene.place) is leased to the virtual interface number \(lease.interface)",
        "choose another --queue, or run it where that interface is, with its name")
    },
    RegistrationCheck(.driver, EOPNOTSUPP) { scene in
      guard let driver = scene.driver, DriverFacts.lacksQueueManagement.contains(driver) else {
        return nil
      }
      return .certain(
        .notSupported, DriverFacts.sentence(scene.interface, driver),
        "\(DriverFacts.list); \(scene.alternative)")
    },
    RegistrationCheck(.headerSplit, EINVAL) { scene in headerSplit(scene) },
    RegistrationCheck(.threshold, EINVAL) { scene in
      guard scene.wish.target != nil,
        let threshold = scene.state?.rings.value?.headerSplitThreshold,
        threshold != 0
      else { return nil }
      return .certain(
        .refused, "\(scene.interface) splits only packets of more than \(threshold) bytes",
        "`ethtool -G \(scene.interface) hds-thresh 0` (needs an ethtool newer than 6.14)")
    },
    RegistrationCheck(.xdp, EEXIST) { scene in
      guard let link = scene.link, let xdp = link.xdp else { return nil }
      let program = xdp.identifier.map { " (program \($0))" } ?? ""
      return .certain(
        .refused, "an XDP program is attached to \(link.name)\(program)",
        "`ip link set dev \(link.name) \(xdp.mode.keyword) off` detaches it, unless its owner "
          + "holds it by a BPF link; `bpftool net show dev \(link.name)` tells what it is")
    },
    RegistrationCheck(.buffers, EOPNOTSUPP) { scene in largeBuffers(scene) },
    RegistrationCheck(.owner, EEXIST) { scene in provider(scene) },
    RegistrationCheck(.owner, EBUSY) { scene in
      guard let queue = scene.queue, queue.hasXDPSocket else { return nil }
      return .certain(
        .refused, "\(scene.place) is taken by an AF_XDP socket",
        "find its owner: `ss --xdp -p`, or choose another --queue")
    },
    RegistrationCheck(.owner, EBUSY) { scene in
      guard scene.wish.target != nil else { return nil }
      return .possible(
        .refused, "\(scene.place) is taken by an AF_XDP socket or leased to a virtual interface",
        "find the socket's owner: `ss --xdp -p`, or choose another --queue")
    },
  ]

  private static func missingQueue(_ scene: RegistrationScene, _ count: UInt32) -> String {
    let has =
      count == 1
      ? "its only queue is 0" : count == 0 ? "it has none" : "its queues are 0 to \(count - 1)"
    guard let maximum = scene.state?.channels.value?.maximum, maximum.receiveQueues > count else {
      return "\(has): choose another --queue"
    }
    let name = maximum.combined > 0 ? "combined" : "rx"
    let most = maximum.combined > 0 ? maximum.combined : maximum.receive
    return "\(has): choose another --queue, or `ethtool -L \(scene.interface) \(name) N` "
      + "makes more (N up to \(most))"
  }

  /// Header split must have been set, not only be shown: see ``Rings/TCPDataSplit``.
  private static func headerSplit(_ scene: RegistrationScene) -> RegistrationFinding? {
    guard scene.wish.target != nil, let state = scene.state else { return nil }
    let name = scene.interface
    let command = "`ethtool -G \(name) tcp-data-split on`"
    guard let rings = state.rings.value else {
      return .possible(
        .notSupported, "\(name) does not tell whether it splits headers from payload",
        "\(command) switches it on where the driver can (needs ethtool 6.7); "
          + scene.alternative)
    }
    switch rings.tcpDataSplit {
    case .enabled:
      return .possible(
        .refused, "header split of \(name) is shown as on, but nobody may have set it",
        "\(command) sets it")
    case .disabled, .unknown:
      let features = state.features.value
      let needsGRO =
        DriverFacts.splitNeedsHardwareGRO.contains(scene.driver ?? "")
        && features?.active.contains("rx-gro-hw") == false
      return .certain(
        .refused, "header split of \(name) is off",
        (needsGRO ? "`ethtool -K \(name) rx-gro-hw on`, then " : "")
          + "\(command) (needs ethtool 6.7)")
    case nil:
      return .certain(
        .notSupported, "\(name) cannot split headers from payload\(scene.driverClause)",
        "\(DriverFacts.list); \(scene.alternative)")
    }
  }

  private static func largeBuffers(_ scene: RegistrationScene) -> RegistrationFinding? {
    let bytes = scene.wish.bufferBytes
    guard scene.wish.target != nil, bytes > 0, let driver = scene.driver,
      !DriverFacts.hasLargeBuffers.contains(driver)
    else { return nil }
    let what =
      "the driver \(driver) of \(scene.interface) does not let the size of buffers "
      + "be chosen"
    let remedy = "leave --buffer out (buffers are pages of \(scene.host.pageBytes) bytes then)"
    return DriverFacts.isCapable.contains(driver)
      ? .certain(.notSupported, what, remedy)
      : .possible(.notSupported, what + ", or has no zero-copy receive at all", remedy)
  }

  /// Who has the queue's memory already.
  private static func provider(_ scene: RegistrationScene) -> RegistrationFinding? {
    guard scene.wish.target != nil else { return nil }
    if scene.queue?.ioUring != nil {
      guard let owner = scene.host.owners.first else {
        return .certain(
          .refused, "\(scene.place) is taken by another io_uring instance",
          "find its owner: `find /proc/[0-9]*/fd -lname '*zcrx*' -o -lname '*io_uring*'`, or "
            + "choose another --queue")
      }
      return .certain(
        .refused,
        "\(scene.place) is taken by another io_uring instance, most likely of "
          + "\(owner.command) (process \(owner.process))",
        "`ps -fp \(owner.process)` shows it; stop it, or choose another --queue")
    }
    if let binding = scene.queue?.dmabuf {
      return .certain(
        .refused, "\(scene.place) is taken by TCP devmem (binding \(binding))",
        "stop the program that receives into device memory there, or choose another --queue")
    }
    return .possible(
      .refused, "\(scene.place) was still bound to another io_uring instance",
      "one that ended a moment ago is released by now: try again")
  }
}

extension Link.XDPProgram.Mode {
  /// What `ip link set` calls it.
  fileprivate var keyword: String {
    switch self {
    case .driver, .several: "xdp"
    case .generic: "xdpgeneric"
    case .offloaded: "xdpoffload"
    }
  }
}

extension RegistrationScene {
  /// " (driver ice)", where the driver is known.
  var driverClause: String { driver.map { " (driver \($0))" } ?? "" }
}
