/// The lists of ``CallFilter``.
enum CallNames {
  static func all(_ calls: Permissions.Calls) -> [String] {
    var names = rings + descriptors + memory + threads + times + process
    if calls.contains(.reads) || calls.contains(.files) { names += reads }
    if calls.contains(.files) { names += files }
    if calls.contains(.consumers) { names += ["accept4", "unlink", "unlinkat"] }
    if calls.contains(.memory) { names.append("memfd_create") }
    if calls.contains(.devices) { names += ["epoll_wait", "epoll_pwait", "epoll_pwait2"] }
    if calls.contains(.children) { names += ["socketpair", "wait4", "waitid"] }
    return names
  }

  private static let rings = ["io_uring_enter", "io_uring_register"]

  private static let descriptors = [
    "read", "readv", "pread64", "preadv", "write", "writev", "pwrite64", "pwritev", "pwritev2",
    "ftruncate", "fallocate", "lseek", "close", "fstat", "stat", "lstat", "newfstatat", "statx",
    "fcntl", "poll", "ppoll", "select", "pselect6", "recvfrom", "recvmsg", "recvmmsg", "sendto",
    "sendmsg", "sendmmsg", "shutdown", "getsockopt", "setsockopt", "getsockname",
    "getpeername", "fsync", "fdatasync",
  ]

  /// mmap and mprotect without PROT_EXEC come on top.
  private static let memory = ["munmap", "mremap", "madvise", "brk", "mincore", "membarrier"]

  private static let threads = [
    "futex", "futex_waitv", "sched_yield", "sched_getaffinity", "rt_sigaction", "rt_sigprocmask",
    "rt_sigreturn", "rt_sigtimedwait", "sigaltstack", "set_robust_list", "get_robust_list", "rseq",
    "set_tid_address", "gettid", "exit", "exit_group", "restart_syscall", "getcpu",
  ]

  private static let times = [
    "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time",
    "getrandom",
  ]

  private static let process = [
    "getpid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid",
    "capget", "prctl", "getrusage", "times", "sysinfo", "uname", "getrlimit", "ugetrlimit",
  ]

  private static let reads = [
    "open", "openat", "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getdents64",
  ]

  private static let files = [
    "rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat",
    "sync_file_range", "mkdir", "mkdirat", "flock",
  ]

  /// Requests of ioctl(2), whose numbers most architectures share.
  static func requests(_ calls: Permissions.Calls) -> [UInt64] {
    var requests: [UInt64] = [
      0x541b,  // FIONREAD
      0x5411,  // SIOCOUTQ, which is TIOCOUTQ
      0x5401,  // TCGETS, as isatty(3) asks
      0x5413,  // TIOCGWINSZ
      0x5410,  // TIOCGPGRP
      0x4008_6200,  // DMA_BUF_IOCTL_SYNC
    ]
    if calls.contains(.devices) { requests.append(0x8946) }  // SIOCETHTOOL
    return requests
  }
}
