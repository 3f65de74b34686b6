import Glibc

@testable import NICControl

extension DiagnosisCase {
  static let queue: [DiagnosisCase] = [
    DiagnosisCase("no such queue", ERANGE, .refused, "zc0 has no queue 4", "0 to 3") {
      $0.wish.target?.queue = 4
    },
    DiagnosisCase("queues can be added", ERANGE, .refused, "no queue 9", "-L zc0 combined N") {
      $0.wish.target?.queue = 9
    },
    DiagnosisCase("one queue", ERANGE, .refused, "no queue 3", "its only queue is 0") {
      let counts = Channels.Counts(receive: 1, transmit: 1, combined: 0, other: 0)
      $0.state?.channels = .value(Channels(current: counts, maximum: counts))
    },
    DiagnosisCase(
      "a leased queue", EBUSY, .refused, "leased to the virtual interface number 12",
      "another --queue"
    ) { try $0.queue { $0.nest(8) { $0.add(1, UInt32(12)) } } },
    DiagnosisCase("a leased queue, by DMA", EOPNOTSUPP, .refused, "leased to", "--queue") {
      try $0.queue { $0.nest(8) { $0.add(1, UInt32(12)) } }
    },
    DiagnosisCase(
      "a driver without it", EOPNOTSUPP, .notSupported, "driver ice of zc0",
      "mlx5_core"
    ) { $0.driver("ice") },
    DiagnosisCase(
      "split is off", EINVAL, .refused, "header split of zc0 is off",
      "`ethtool -G zc0 tcp-data-split on`"
    ) { $0.rings { $0.tcpDataSplit = .disabled } },
    DiagnosisCase(
      "split is unknown", EINVAL, .refused, "header split of zc0 is off",
      "`ethtool -G zc0 tcp-data-split on`"
    ) { $0.rings { $0.tcpDataSplit = .unknown } },
    DiagnosisCase(
      "split needs HW-GRO", EINVAL, .refused, "header split of zc0 is off",
      "`ethtool -K zc0 rx-gro-hw on`, then `ethtool -G zc0 tcp-data-split on`"
    ) {
      $0.rings { $0.tcpDataSplit = .disabled }
      $0.driver("mlx5_core")
    },
    DiagnosisCase("no split", EINVAL, .notSupported, "cannot split headers from payload", "gve") {
      $0.rings { $0.tcpDataSplit = nil }
    },
    DiagnosisCase(
      "split shown but not set", EINVAL, .refused, "nobody may have set it",
      "`ethtool -G zc0 tcp-data-split on`"),
    DiagnosisCase(
      "rings that cannot be read", EINVAL, .notSupported, "does not tell",
      "tcp-data-split on"
    ) { $0.state?.rings = .notSupported(NetlinkError("read", errno: 95)) },
    DiagnosisCase(
      "a threshold", EINVAL, .refused, "packets of more than 256 bytes",
      "`ethtool -G zc0 hds-thresh 0`"
    ) { $0.rings { $0.headerSplitThreshold = 256 } },
    DiagnosisCase(
      "XDP", EEXIST, .refused, "XDP program is attached to zc0 (program 55)",
      "`ip link set dev zc0 xdp off`"
    ) { try $0.xdp(1, program: 55) },
    DiagnosisCase(
      "generic XDP", EEXIST, .refused, "XDP program is attached",
      "`ip link set dev zc0 xdpgeneric off`"
    ) { try $0.xdp(2, program: 55) },
    DiagnosisCase("offloaded XDP", EEXIST, .refused, "XDP", "xdpoffload off") {
      try $0.xdp(3, program: 55)
    },
    DiagnosisCase("several XDP programs", EEXIST, .refused, "attached to zc0", "xdp off") {
      try $0.xdp(4, program: nil)
    },
    DiagnosisCase(
      "no large buffers", EOPNOTSUPP, .notSupported, "driver gve of zc0",
      "leave --buffer out"
    ) {
      $0.driver("gve")
      $0.wish.bufferBytes = 16_384
    },
    DiagnosisCase(
      "large buffers of an unknown driver", EOPNOTSUPP, .notSupported,
      "or has no zero-copy receive", "leave --buffer out"
    ) {
      $0.driver("zznic")
      $0.wish.bufferBytes = 16_384
    },
    DiagnosisCase(
      "another io_uring", EEXIST, .refused,
      "zc0 queue 3 is taken by another io_uring instance", "find /proc/[0-9]*/fd"
    ) {
      try $0.queue { $0.nest(6) { _ in } }
    },
    DiagnosisCase(
      "a likely owner", EEXIST, .refused, "most likely of receiver (process 4711)",
      "`ps -fp 4711`"
    ) {
      try $0.queue { $0.nest(6) { _ in } }
      $0.host.owners = [
        QueueOwner(process: 4711, command: "receiver", evidence: .ring, pinnedKiB: 65_536)
      ]
    },
    DiagnosisCase("devmem", EEXIST, .refused, "TCP devmem (binding 4)", "another --queue") {
      try $0.queue { $0.add(5, UInt32(4)) }
    },
    DiagnosisCase("one that has just ended", EEXIST, .refused, "was still bound", "try again"),
    DiagnosisCase(
      "AF_XDP", EBUSY, .refused, "zc0 queue 3 is taken by an AF_XDP socket",
      "`ss --xdp -p`"
    ) { try $0.queue { $0.nest(7) { _ in } } },
    DiagnosisCase("AF_XDP or a lease", EBUSY, .refused, "AF_XDP socket or leased", "--queue"),
  ]

  static let driver: [DiagnosisCase] = [
    DiagnosisCase("mlx5 down", ENODEV, .refused, "zc0 is down", "`ip link set zc0 up`") {
      try $0.down()
    },
    DiagnosisCase("bnxt down", ENETDOWN, .refused, "zc0 is down", "`ip link set zc0 up`") {
      try $0.down()
    },
    DiagnosisCase("gve down", EAGAIN, .refused, "zc0 is down", "`ip link set zc0 up`") {
      try $0.down()
    },
    DiagnosisCase("down a moment ago", ENETDOWN, .refused, "was down", "try again"),
    DiagnosisCase("taken away", ENODEV, .refused, "taken away", "`ip -br link show zc0`"),
    DiagnosisCase("gve queue 0", ERANGE, .refused, "cannot hand over queue 0", "--queue 1") {
      $0.driver("gve")
      $0.wish.target?.queue = 0
    },
    DiagnosisCase(
      "buffers outside the driver's range", ERANGE, .refused,
      "zc0 (driver bnxt_en) does not take buffers of 64 KiB", "smaller --buffer"
    ) {
      $0.wish.bufferBytes = 65_536
    },
    DiagnosisCase(
      "buffers that the driver refuses", EINVAL, .refused, "nobody may have set it",
      "tcp-data-split on"
    ) { $0.wish.bufferBytes = 65_536 },
    DiagnosisCase(
      "modes of mlx5", EOPNOTSUPP, .refused, "mode in which mlx5_core",
      "tx_port_ts off"
    ) { $0.driver("mlx5_core") },
    DiagnosisCase("firmware of bnxt", EOPNOTSUPP, .notSupported, "firmware of zc0", "-i zc0"),
    DiagnosisCase("descriptors of gve", EOPNOTSUPP, .notSupported, "DQO-RDA", "machine type") {
      $0.driver("gve")
    },
    DiagnosisCase("a driver nobody knows", EOPNOTSUPP, .notSupported, "driver zznic", "dmesg") {
      $0.driver("zznic")
    },
    DiagnosisCase("no driver", EOPNOTSUPP, .notSupported, "zc0 cannot hand a queue", "gve") {
      $0.state?.driver = .notSupported(NetlinkError("read", errno: EOPNOTSUPP))
    },
    DiagnosisCase("an ordinary pool", ENODATA, .notSupported, "did not use the area", "rx-gro-hw"),
    DiagnosisCase("a firmware that fails", EIO, .failed, "the driver bnxt_en failed", "dmesg"),
    DiagnosisCase("a firmware without room", ENOSPC, .failed, "failed to rebuild", "dmesg"),
  ]

  /// What no user can cause: one honest sentence with the errno.
  static let faults: [DiagnosisCase] = [
    DiagnosisCase("a ring that is not enabled", EBADFD, .failed, "(errno 77)", "report"),
    DiagnosisCase("a descriptor that is none", EBADF, .failed, "(errno 9)", "report"),
    DiagnosisCase("absurd sizes", E2BIG, .failed, "(errno 7)", "report"),
    DiagnosisCase("another thread's ring", EEXIST, .failed, "(errno 17)", "report") {
      $0.wish.target = nil
    },
    DiagnosisCase("a wrong ring, without a NIC", EINVAL, .failed, "without a NIC", "report") {
      $0.wish.target = nil
    },
    DiagnosisCase("what nobody expects", EXDEV, .failed, "(errno 18)", "dmesg"),
  ]
}
