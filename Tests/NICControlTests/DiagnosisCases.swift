import Glibc

@testable import NICControl

extension DiagnosisCase {
  static let kernel: [DiagnosisCase] = [
    DiagnosisCase(
      "no io_uring", ENOSYS, .notSupported, "this kernel has no io_uring", "CONFIG_IO_URING"),
    DiagnosisCase(
      "io_uring switched off", EPERM, .noPrivilege, "switched off on this machine",
      "`sysctl kernel.io_uring_disabled=0`"
    ) { $0.host.ioUringDisabled = 2 },
    DiagnosisCase(
      "io_uring kept from the unprivileged", EPERM, .noPrivilege, "kept from unprivileged users",
      "kernel.io_uring_group"
    ) { $0.host.ioUringDisabled = 1 },
    DiagnosisCase(
      "no capability", EPERM, .noPrivilege, "CAP_NET_ADMIN", "setcap cap_net_admin+ep"
    ) {
      $0.host.hasNetAdmin = false
    },
    DiagnosisCase(
      "a container's capability", EPERM, .noPrivilege, "user namespace does not count",
      "--userns=host"
    ) { $0.host.isInitialUserNamespace = false },
    DiagnosisCase(
      "forbidden all the same", EPERM, .noPrivilege, "seccomp", "io_uring_register"),
    DiagnosisCase(
      "forbidden by a security module", EACCES, .noPrivilege, "security module", "dmesg"),
    DiagnosisCase(
      "a kernel before zero-copy receive", EINVAL, .notSupported,
      "Linux 6.12 has no zero-copy receive", "6.15"
    ) { $0.host.kernel = KernelVersion(6, 12) },
    DiagnosisCase(
      "a kernel without it", EOPNOTSUPP, .notSupported, "built without zero-copy receive",
      "CONFIG_IO_URING_ZCRX"
    ) { $0.host.isCompiledIn = false },
    DiagnosisCase(
      "no instances without a NIC", EINVAL, .notSupported, "without a NIC", "Linux 7.1"
    ) {
      $0.host.kernel = KernelVersion(7, 0)
      $0.wish.target = nil
    },
    DiagnosisCase(
      "no choice of buffers", EINVAL, .notSupported, "does not let the size of buffers",
      "leave --buffer out"
    ) {
      $0.host.kernel = KernelVersion(6, 18)
      $0.wish.bufferBytes = 16_384
    },
    DiagnosisCase(
      "no device memory", EINVAL, .notSupported, "does not take device memory", "6.16"
    ) {
      $0.host.kernel = KernelVersion(6, 15)
      $0.wish.memory = .dmabuf
    },
  ]

  static let request: [DiagnosisCase] = [
    DiagnosisCase("queue -1", EINVAL, .refused, "no queue 4294967295", "`ethtool -l zc0`") {
      $0.wish.target?.queue = .max
    },
    DiagnosisCase("no refill entries", EINVAL, .refused, "refill queue of 0", "1 to 32768") {
      $0.wish.refillEntries = 0
    },
    DiagnosisCase("many refill entries", EINVAL, .refused, "of 65536 entries", "1 to 32768") {
      $0.wish.refillEntries = 65_536
    },
    DiagnosisCase("no such interface", ENODEV, .refused, "no interface zc0", "`ip -br link`") {
      $0.state = nil
    },
    DiagnosisCase("lo", EOPNOTSUPP, .notSupported, "loopback interface", "--engine nodev") {
      $0.state?.link = try Link(message: LinkMessages.message(flags: 1 | 1 << 3) { _ in })
    },
    DiagnosisCase("lo, on 7.0", EOPNOTSUPP, .notSupported, "loopback", "`--engine copy` works") {
      $0.state?.link = try Link(message: LinkMessages.message(flags: 1 | 1 << 3) { _ in })
      $0.host.kernel = KernelVersion(7, 0)
    },
    DiagnosisCase("veth", EOPNOTSUPP, .notSupported, "is a veth interface", "NIC under it") {
      try $0.link { $0.nest(18) { $0.add(1, text: "veth") } }
    },
    DiagnosisCase("a netkit", EOPNOTSUPP, .notSupported, "no NIC has leased", "queue-create") {
      try $0.link { $0.nest(18) { $0.add(1, text: "netkit") } }
    },
    DiagnosisCase(
      "a lease from what has no hardware", EOPNOTSUPP, .notSupported, "leased from an interface",
      "`ip -d link show zc0`"
    ) {
      try $0.link { $0.nest(18) { $0.add(1, text: "netkit") } }
      try $0.queue { $0.nest(8) { $0.add(1, UInt32(4)) } }
    },
    DiagnosisCase("no hardware", EOPNOTSUPP, .notSupported, "no hardware that", "`ip -br link`") {
      try $0.link { _ in }
    },
    DiagnosisCase("virtio", EOPNOTSUPP, .notSupported, "virtio NIC", "passed through") {
      try $0.link {
        $0.add(56, text: "virtio2")
        $0.add(57, text: "virtio")
      }
    },
  ]

  static let area: [DiagnosisCase] = [
    DiagnosisCase("an odd buffer", EINVAL, .refused, "buffer of 3000 bytes", "power of two") {
      $0.wish.bufferBytes = 3000
    },
    DiagnosisCase("a small buffer", EINVAL, .refused, "buffer of 2048 bytes", "from 4096 on") {
      $0.wish.bufferBytes = 2048
    },
    DiagnosisCase(
      "large buffers without a NIC", EOPNOTSUPP, .notSupported, "without a NIC, buffers are pages",
      "leave --buffer out"
    ) {
      $0.wish.target = nil
      $0.wish.bufferBytes = 65_536
    },
    DiagnosisCase("dmabuf without a NIC", EINVAL, .refused, "needs a NIC", "--ifname") {
      $0.wish.target = nil
      $0.wish.memory = .dmabuf
    },
    DiagnosisCase("an odd area", EINVAL, .refused, "area of 5000 bytes", "multiple") {
      $0.wish.areaBytes = 5000
    },
    DiagnosisCase("no area", EFAULT, .refused, "area of 0 bytes", "multiple") {
      $0.wish.areaBytes = 0
    },
    DiagnosisCase(
      "more than 1 GiB", EFAULT, .notSupported, "area of 2 GiB is more than the 1 GiB",
      "--area 1GiB"
    ) {
      $0.wish.areaBytes = 2 << 30
      $0.host.kernel = KernelVersion(7, 1)
    },
    DiagnosisCase("more than 1 TiB", EINVAL, .refused, "area of 2 TiB", "--area 4GiB") {
      $0.wish.areaBytes = 2 << 40
    },
    DiagnosisCase("sizes that wrap", EOVERFLOW, .refused, "area of 2 TiB", "--area 4GiB") {
      $0.wish.areaBytes = 2 << 40
    },
    DiagnosisCase("no such descriptor", EBADF, .refused, "not open", "dmabuf-fd:N") {
      $0.wish.memory = .dmabuf
    },
    DiagnosisCase("dmabuf of another size", EINVAL, .refused, "67108864 bytes", "fdinfo") {
      $0.wish.memory = .dmabuf
    },
    DiagnosisCase(
      "locked memory", ENOMEM, .noPrivilege, "of locked memory, 8 MiB are allowed", "ulimit -l"
    ) {
      $0.host.hasLockRight = false
      $0.host.lockLimit = 8 << 20
    },
    DiagnosisCase(
      "locked memory of others", ENOMEM, .noPrivilege, "other processes of this user",
      "LimitMEMLOCK"
    ) {
      $0.host.hasLockRight = false
      $0.host.lockLimit = 128 << 20
    },
    DiagnosisCase("memory", ENOMEM, .failed, "not enough memory", "ethtool -G zc0 rx N"),
    DiagnosisCase("memory without a NIC", ENOMEM, .failed, "not enough memory", "free -m") {
      $0.wish.target = nil
    },
    DiagnosisCase("memory of a file", EFAULT, .refused, "cannot pin", "`--memory pages`"),
    DiagnosisCase("scattered pages", ERANGE, .refused, "16 KiB do not fit into pages", "huge2m") {
      $0.wish.bufferBytes = 16_384
      $0.wish.memory = .pages
    },
    DiagnosisCase("scattered THP", ERANGE, .refused, "transparent huge pages", "huge2m") {
      $0.wish.bufferBytes = 65_536
      $0.wish.memory = .transparentHugePages
    },
    DiagnosisCase("buffers larger than a page", ERANGE, .refused, "huge pages of 2 MiB", "2097152")
    {
      $0.wish.bufferBytes = 4 << 20
    },
    DiagnosisCase("a scattered dmabuf", ERANGE, .refused, "pieces", "larger pieces") {
      $0.wish.bufferBytes = 65_536
      $0.wish.memory = .dmabuf
    },
  ]
}
