import Glibc

extension RegistrationCheck {
  /// What has nothing to do with the NIC: the kernel, and the right to use this part of it.
  static let kernelChecks: [RegistrationCheck] = [
    RegistrationCheck(.ioUring, ENOSYS) { scene in
      .possible(
        .notSupported, "this kernel has no io_uring",
        "it was built without CONFIG_IO_URING, or a seccomp profile hides it; "
          + "ingest needs Linux 6.0 or newer with it, and 6.15 for zero-copy receive")
    },
    RegistrationCheck(.ioUring, EPERM) { scene in
      guard scene.host.ioUringDisabled == 2 else { return nil }
      return .certain(
        .noPrivilege, "io_uring is switched off on this machine (kernel.io_uring_disabled is 2)",
        "`sysctl kernel.io_uring_disabled=0` allows it again")
    },
    RegistrationCheck(.kernel, EINVAL) { scene in
      guard !scene.host.has(.interfaceQueues) else { return nil }
      return .certain(
        .notSupported, "Linux \(scene.host.kernel) has no zero-copy receive",
        "Linux 6.15 is the first that has it (`uname -r` shows yours); `--engine copy` works here")
    },
    RegistrationCheck(.kernel, EOPNOTSUPP) { scene in
      guard scene.host.isCompiledIn == false else { return nil }
      return .certain(
        .notSupported, "this kernel was built without zero-copy receive",
        "use one with CONFIG_IO_URING_ZCRX (`grep ZCRX /boot/config-$(uname -r)`); "
          + "`--engine copy` works here")
    },
    RegistrationCheck(.capability, EPERM) { scene in
      guard !scene.host.hasNetAdmin else { return nil }
      return .certain(
        .noPrivilege, "zero-copy receive needs the capability CAP_NET_ADMIN",
        "run it as root, give it to the program "
          + "(`setcap cap_net_admin+ep \"$(command -v ingest)\"`), or put "
          + "AmbientCapabilities=CAP_NET_ADMIN into its systemd unit")
    },
    RegistrationCheck(.capability, EPERM) { scene in
      guard !scene.host.isInitialUserNamespace else { return nil }
      return .certain(
        .noPrivilege, "CAP_NET_ADMIN of a container's user namespace does not count here",
        "run it on the host, or in a container of the host's user namespace "
          + "(`docker run --userns=host --cap-add=NET_ADMIN`; rootless containers never are)")
    },
    RegistrationCheck(.ioUring, EPERM) { scene in
      guard scene.host.ioUringDisabled == 1 else { return nil }
      return .possible(
        .noPrivilege,
        "io_uring is kept from unprivileged users here "
          + "(kernel.io_uring_disabled is 1)",
        "`sysctl kernel.io_uring_disabled=0` allows everyone; kernel.io_uring_group names a "
          + "group that is allowed")
    },
    RegistrationCheck(.ioUring, EPERM, EACCES) { scene in
      .possible(
        .noPrivilege, "a seccomp profile or a security module forbids io_uring",
        "in a container, allow io_uring_setup, io_uring_enter and io_uring_register in its "
          + "seccomp profile (`--security-opt seccomp=unconfined` shows whether that is it); "
          + "`dmesg | grep -i denied` shows a security module's refusals")
    },
  ]

  /// What was asked for, against what this kernel knows and takes.
  static let requestChecks: [RegistrationCheck] = [
    RegistrationCheck(.request, EINVAL) { scene in
      guard scene.wish.target == nil, !scene.host.has(.deviceless) else { return nil }
      return .certain(
        .notSupported, "Linux \(scene.host.kernel) has no zero-copy receive without a NIC",
        "Linux 7.1 is the first that has it; name a NIC by --ifname and --queue, or take "
          + "`--engine copy`")
    },
    RegistrationCheck(.buffers, EINVAL) { scene in
      guard scene.wish.bufferBytes != 0, !scene.host.has(.largeBuffers) else { return nil }
      return .certain(
        .notSupported, "Linux \(scene.host.kernel) does not let the size of buffers be chosen",
        "leave --buffer out (buffers are pages of \(scene.host.pageBytes) bytes then); "
          + "Linux 7.0 is the first with other sizes")
    },
    RegistrationCheck(.queue, EINVAL) { scene in
      guard let target = scene.wish.target, target.queue == .max else { return nil }
      return .certain(
        .refused, "there is no queue \(target.queue)",
        "queues are numbered from 0; `ethtool -l \(target.interface)` shows how many there are")
    },
    RegistrationCheck(.area, EINVAL) { scene in
      let entries = scene.wish.refillEntries
      guard entries == 0 || entries > 32_768 else { return nil }
      let sentence = "a refill queue of \(entries) entries is not possible"
      let remedy = "it can have 1 to 32768; a smaller area needs fewer"
      return entries == 0
        ? .certain(.refused, sentence, remedy) : .possible(.refused, sentence, remedy)
    },
    RegistrationCheck(.interface, ENODEV) { scene in
      guard scene.wish.target != nil, scene.state == nil else { return nil }
      let missing = RegistrationDiagnosis(missingInterface: scene.interface)
      return .certain(missing.kind, missing.what, missing.remedy)
    },
    RegistrationCheck(.hardware, EOPNOTSUPP) { scene in
      guard let link = scene.link, link.parent == nil else { return nil }
      return withoutHardware(link, scene)
    },
    RegistrationCheck(.hardware, EOPNOTSUPP) { scene in
      guard let link = scene.link, link.parent?.bus == "virtio" else { return nil }
      return .certain(
        .notSupported, "\(link.name) is a virtio NIC, which has no zero-copy receive",
        "it takes a NIC passed through to this virtual machine; \(scene.alternative)")
    },
  ]

  /// Interfaces that are not on a bus: there is nothing to map memory for.
  private static func withoutHardware(
    _ link: Link, _ scene: RegistrationScene
  ) -> RegistrationFinding {
    if link.isLoopback {
      return .certain(
        .notSupported, "\(link.name) is the loopback interface, which has no hardware queues",
        "name the NIC by which the data arrives (`ip -br link`); \(scene.alternative)")
    }
    guard let kind = link.kind else {
      return .possible(
        .notSupported, "\(link.name) has no hardware that could write into memory",
        "name the NIC by which the data arrives (`ip -br link`); \(scene.alternative)")
    }
    if kind == "netkit" {
      return scene.queue?.lease != nil
        ? .possible(
          .notSupported, "\(scene.place) is leased from an interface that has no hardware itself",
          "lease it a queue of a NIC (`ip -d link show \(link.name)` shows what it is)")
        : .certain(
          .notSupported, "\(scene.place) is a queue of a netkit that no NIC has leased to it",
          "lease it a queue of the NIC (queue-create of the netdev netlink family, Linux 7.1), or "
            + "name the NIC itself")
    }
    return .certain(
      .notSupported, "\(link.name) is a \(kind) interface, which has no hardware queues",
      "name the NIC under it (`ip -d link show \(link.name)`); \(scene.alternative)")
  }
}
