import Glibc

/// What is known of drivers, as of Linux 7.2 (drivers/net).
enum DriverFacts {
  static let isCapable: Set<String> = ["bnxt_en", "mlx5_core", "gve", "fbnic"]
  /// Let the size of receive buffers be chosen (QCFG_RX_PAGE_SIZE).
  static let hasLargeBuffers: Set<String> = ["bnxt_en", "mlx5_core"]
  /// Split headers only while they coalesce in hardware.
  static let splitNeedsHardwareGRO: Set<String> = ["mlx5_core"]
  /// Have no rings to rebuild while the interface is down: ENODEV, ENETDOWN, EAGAIN. Others take
  /// the area when it comes up.
  static let needsInterfaceUp: Set<String> = ["mlx5_core", "bnxt_en", "gve"]
  /// Show header split as on although nobody has set it.
  static let showsSplitUnset: Set<String> = ["bnxt_en", "mlx5_core", "fbnic"]
  /// Drivers of hardware that many have and that have no queue management. A driver in neither set
  /// may have learned it since.
  static let lacksQueueManagement: Set<String> = [
    "atlantic", "bnge", "bnx2x", "cxgb4", "e1000", "e1000e", "eea", "ena", "enic", "hv_netvsc",
    "i40e", "iavf", "ice", "idpf", "igb", "igc", "ixgbe", "ixgbevf", "mana", "mlx4_en",
    "netdevsim", "nfp", "qede", "r8169", "sfc", "tg3", "virtio_net", "vmxnet3",
  ]

  static let list = "Linux 7.2 can do it with the drivers bnxt_en, mlx5_core, gve and fbnic"

  static func sentence(_ interface: String, _ driver: String) -> String {
    "the driver \(driver) of \(interface) cannot hand a queue to zero-copy receive"
  }
}

extension RegistrationCheck {
  /// What drivers refuse when they rebuild the queue.
  static let driverChecks: [RegistrationCheck] = [
    RegistrationCheck(.link, ENODEV, ENETDOWN, EAGAIN) { scene in
      guard let link = scene.link, !link.isUp else { return nil }
      return .certain(
        .refused, "\(link.name) is down", "`ip link set \(link.name) up`",
        isForeseen: DriverFacts.needsInterfaceUp.contains(scene.driver ?? ""))
    },
    RegistrationCheck(.link, ENETDOWN, EAGAIN) { scene in
      guard let link = scene.link else { return nil }
      return .possible(
        .refused, "\(link.name) was down, or its queues were being set up",
        "try again; `ip link set \(link.name) up` switches it on, `dmesg | tail -20` shows a "
          + "driver in trouble")
    },
    RegistrationCheck(.link, ENODEV) { scene in
      guard let link = scene.link else { return nil }
      return .possible(
        .refused, "\(link.name) was taken away meanwhile, or its driver was not ready",
        "`ip -br link show \(link.name)` shows whether it is there and up; try again")
    },
    RegistrationCheck(.queue, ERANGE) { scene in
      guard scene.driver == "gve", scene.wish.target?.queue == 0 else { return nil }
      return .certain(
        .refused, "the driver gve cannot hand over queue 0", "choose --queue 1 or higher")
    },
    RegistrationCheck(.buffers, EINVAL, ERANGE) { scene in
      guard scene.wish.target != nil, scene.wish.bufferBytes > scene.host.pageBytes else {
        return nil
      }
      return .possible(
        .refused,
        "\(scene.interface)\(scene.driverClause) does not take buffers of "
          + sizeText(scene.wish.bufferBytes),
        "give a smaller --buffer, or leave it out")
    },
    RegistrationCheck(.driver, EOPNOTSUPP) { scene in modes(scene) },
    RegistrationCheck(.driver, ENODATA) { scene in
      guard scene.wish.target != nil else { return nil }
      return .possible(
        .notSupported,
        "the driver of \(scene.interface) did not use the area for \(scene.place)",
        "its settings keep it from doing so: `ethtool -g \(scene.interface)` must show TCP data "
          + "split on, and where the driver has rx-gro-hw, `ethtool -K \(scene.interface) "
          + "rx-gro-hw on`; a newer kernel may know better")
    },
    RegistrationCheck(.area, ENOMEM) { scene in
      .possible(
        .failed, "the kernel has not enough memory to register \(scene.place)",
        scene.wish.target == nil
          ? "a smaller --area needs less (`free -m`)"
          : "a smaller --area or shorter rings (`ethtool -G \(scene.interface) rx N`) need less "
            + "(`free -m`)")
    },
    RegistrationCheck(.driver, EIO, ENOSPC, ETIMEDOUT) { scene in
      guard scene.wish.target != nil else { return nil }
      let driver = scene.driver.map { "the driver \($0)" } ?? "the driver"
      return .possible(
        .failed, "\(driver) failed to rebuild \(scene.place)",
        "`dmesg | tail -20` shows what it says")
    },
  ]

  /// EOPNOTSUPP of a driver that can do it as such.
  private static func modes(_ scene: RegistrationScene) -> RegistrationFinding? {
    guard scene.wish.target != nil, scene.state != nil else { return nil }
    let name = scene.interface
    switch scene.driver {
    case "mlx5_core":
      return .possible(
        .refused, "\(name) is in a mode in which mlx5_core cannot hand over a queue",
        "switch off XDP, PTP timestamps, HTB offload and tx_port_ts "
          + "(`ethtool --set-priv-flags \(name) tx_port_ts off`); `dmesg | tail -20` names it")
    case "bnxt_en":
      return .possible(
        .notSupported,
        "the firmware of \(name) has no queue management, or it is a virtual function",
        "use the physical function, and update its firmware (`ethtool -i \(name)`)")
    case "gve":
      return .possible(
        .notSupported, "\(name) does not use the descriptor format DQO-RDA",
        "choose a machine type whose NIC has it; \(scene.alternative)")
    case let driver?:
      return .possible(
        .notSupported, DriverFacts.sentence(name, driver),
        "\(DriverFacts.list); `dmesg | tail -20` may say more; \(scene.alternative)")
    case nil:
      return .possible(
        .notSupported, "\(name) cannot hand a queue to zero-copy receive",
        "\(DriverFacts.list); \(scene.alternative)")
    }
  }
}
