import Glibc

@testable import NICControl

private let refused = NetlinkError("read", errno: EIO)
private let unsupported = NetlinkError("read", errno: EOPNOTSUPP)

extension PreflightCase {
  static let interface: [PreflightCase] = [
    PreflightCase("interface", .ok, "zc0 (number 7)"),
    PreflightCase("interface", .blocks, "no interface zc0", "`ip -br link`") { scene, _ in
      scene.state = nil
    },
    PreflightCase("hardware", .ok, "pci device 0000:3b:00.0, next to memory node 0"),
    PreflightCase("hardware", .warning, "no hardware that", "`ip -br link`") { scene, _ in
      try scene.link { _ in }
    },
    PreflightCase("hardware", .blocks, "virtio NIC", "passed through") { scene, _ in
      try scene.link {
        $0.add(56, text: "virtio2")
        $0.add(57, text: "virtio")
      }
    },
    PreflightCase("driver", .ok, "bnxt_en 7.2, firmware 229.0"),
    PreflightCase("driver", .warning, "zznic: not one that is known", "--queue 3 --probe-bind") {
      scene, _ in scene.driver("zznic")
    },
    PreflightCase("driver", .warning, "does not tell its driver", "mlx5_core") { scene, _ in
      scene.state?.driver = .notSupported(unsupported)
    },
    PreflightCase("driver", .blocks, "driver ice of zc0", "mlx5_core") { scene, _ in
      scene.driver("ice")
    },
    PreflightCase("link", .ok, "up, MTU 9000"),
    PreflightCase("link", .warning, "no carrier", "`ethtool zc0`") { scene, _ in
      try scene.link {
        $0.add(56, text: "0000:3b:00.0")
        $0.add(57, text: "pci")
      }
    },
    PreflightCase("link", .blocks, "zc0 is down", "`ip link set zc0 up`") { scene, _ in
      try scene.down()
    },
    PreflightCase("link", .warning, "zc0 is down", "`ip link set zc0 up`") { scene, _ in
      try scene.down()
      scene.driver("zznic")
    },
    PreflightCase("tcp-data-split", .ok, "on; bnxt_en shows that also", "tcp-data-split on`"),
    PreflightCase("tcp-data-split", .ok, "on") { scene, _ in scene.driver("gve") },
    PreflightCase("tcp-data-split", .blocks, "header split of zc0 is off", "tcp-data-split on`") {
      scene, _ in scene.rings { $0.tcpDataSplit = .disabled }
    },
    PreflightCase("tcp-data-split", .warning, "does not tell", "tcp-data-split on`") { scene, _ in
      scene.state?.rings = .notSupported(unsupported)
    },
    PreflightCase("hds-thresh", .ok, "0: every packet"),
    PreflightCase("hds-thresh", .ok, "has none") { scene, _ in
      scene.rings { $0.headerSplitThreshold = nil }
    },
    PreflightCase("hds-thresh", .warning, "must be 0") { scene, _ in
      scene.state?.rings = .failed(refused)
    },
    PreflightCase("hds-thresh", .blocks, "more than 256 bytes", "hds-thresh 0`") { scene, _ in
      scene.rings { $0.headerSplitThreshold = 256 }
    },
    PreflightCase("XDP", .ok, "no program"),
    PreflightCase("XDP", .blocks, "XDP program is attached to zc0 (program 9)", "xdp off") {
      scene, _ in try scene.xdp(1, program: 9)
    },
    PreflightCase("rx-gro-hw", .warning, "off: each packet", "`ethtool -K zc0 rx-gro-hw on`"),
    PreflightCase("rx-gro-hw", .ok, "on: the NIC joins") { scene, _ in
      scene.features(active: ["rx-gro-hw"])
    },
    PreflightCase("rx-gro-hw", .ok, "has none") { scene, _ in scene.features(active: []) },
    PreflightCase("rx-gro-hw", .ok, "not told") { scene, _ in
      scene.state?.features = .failed(refused)
    },
    PreflightCase("rx-ntuple-filter", .warning, "off: rules", "`ethtool -K zc0 ntuple on`"),
    PreflightCase("rx-ntuple-filter", .ok, "on") { scene, _ in
      scene.features(active: ["rx-ntuple-filter"])
    },
    PreflightCase("rx-ntuple-filter", .warning, "no n-tuple rules: connections") { scene, _ in
      scene.features(active: [])
    },
    PreflightCase("rx-ntuple-filter", .warning, "does not tell") { scene, _ in
      scene.state?.features = .failed(refused)
    },
  ]

  static let area: [PreflightCase] = [
    PreflightCase("area", .ok, "64 MiB of huge pages of 2 MiB"),
    PreflightCase("area", .blocks, "an area of 0 bytes", "--area") { scene, _ in
      scene.wish.areaBytes = 0
    },
    PreflightCase("locked memory", .ok, "not limited") { scene, _ in
      scene.host.hasLockRight = false
    },
    PreflightCase("locked memory", .ok, "CAP_IPC_LOCK is held"),
    PreflightCase("locked memory", .warning, "1 GiB may be locked", "ulimit -l") { scene, _ in
      scene.host.hasLockRight = false
      scene.host.lockLimit = 1 << 30
    },
    PreflightCase("locked memory", .blocks, "8 MiB are allowed", "ulimit -l") { scene, _ in
      scene.host.hasLockRight = false
      scene.host.lockLimit = 8 << 20
    },
    PreflightCase("buffers", .ok, "the longest that NIC and memory allow"),
    PreflightCase("buffers", .ok, "4 KiB; the payload of a packet (MTU 1500) fits in one") {
      scene, _ in
      scene.wish.memory = .pages
      try scene.mtu(1500)
    },
    // 4096 bytes of payload and 40 of headers are the most that one buffer of 4 KiB takes.
    PreflightCase("buffers", .ok, "(MTU 4136) fits in one") { scene, _ in
      scene.wish.memory = .pages
      try scene.mtu(4136)
    },
    PreflightCase("buffers", .warning, "(MTU 4137) is spread over 2", "--memory huge2m") {
      scene, _ in
      scene.wish.memory = .pages
      try scene.mtu(4137)
    },
    PreflightCase("buffers", .warning, "16 KiB do not fit into pages", "huge2m") { scene, _ in
      scene.wish.memory = .pages
      scene.wish.bufferBytes = 16_384
    },
    PreflightCase("buffers", .blocks, "driver gve of zc0", "leave --buffer out") { scene, _ in
      scene.driver("gve")
      scene.wish.bufferBytes = 16_384
    },
    PreflightCase("kernel.io_uring_disabled", .ok, "0: everyone"),
    PreflightCase("kernel.io_uring_disabled", .ok, "1: root may") { scene, _ in
      scene.host.ioUringDisabled = 1
    },
    PreflightCase("kernel.io_uring_disabled", .blocks, "switched off", "sysctl") { scene, _ in
      scene.host.ioUringDisabled = 2
    },
    PreflightCase("CAP_NET_ADMIN", .ok, "held"),
    PreflightCase("CAP_NET_ADMIN", .blocks, "needs the capability", "setcap") { scene, _ in
      scene.host.hasNetAdmin = false
    },
    PreflightCase("CAP_NET_ADMIN", .blocks, "user namespace", "--userns=host") { scene, _ in
      scene.host.isInitialUserNamespace = false
    },
    PreflightCase("RDMA", .ok, "no RDMA device: not applicable"),
    PreflightCase("RDMA", .ok, "mlx5_0; libibverbs is not installed") { _, around in
      around.rdma = .noLibrary(RDMADevice(name: "mlx5_0"))
    },
    PreflightCase("RDMA", .ok, "mlx5_0 takes dmabufs") { _, around in
      around.rdma = .takesDMABuf(RDMADevice(name: "mlx5_0"))
    },
    PreflightCase("RDMA", .ok, "takes no dmabuf (Operation not supported, errno 95)") {
      _, around in around.rdma = .refusesDMABuf(RDMADevice(name: "mlx5_0"), errno: EOPNOTSUPP)
    },
    PreflightCase("RDMA", .ok, "not asked: there is no device") { _, around in
      around.rdma = .notAsked(RDMADevice(name: "mlx5_0"), why: "there is no device")
    },
  ]
}
