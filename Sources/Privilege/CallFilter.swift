import CIngestKernel
import CSeccomp
import Glibc

/// The system calls that are let through; others answer EPERM. Nothing ends the process: a stage's
/// library that asks for more learns of it, and what was received is not lost.
///
/// - Cost: the kernel keeps a bitmap of calls that are let through whatever their arguments.
@safe
struct CallFilter: ~Copyable {
  private let context: scmp_filter_ctx

  /// SCMP_ACT_ERRNO, a macro that Swift does not see.
  private static func errno(_ code: Int32) -> UInt32 { 0x0005_0000 | UInt32(code) }
  private static let allow: UInt32 = 0x7fff_0000

  init() throws(PrivilegeError) {
    guard let context = unsafe seccomp_init(CallFilter.errno(EPERM)) else {
      throw PrivilegeError("make a filter of system calls", errno: ENOMEM)
    }
    unsafe self.context = context
    // The filter is every thread's, those that a library started included.
    unsafe seccomp_attr_set(context, SCMP_FLTATR_CTL_TSYNC, 1)
  }

  deinit { unsafe seccomp_release(context) }

  /// All threads of the process are under it from now on.
  func load(_ calls: Permissions.Calls) throws(PrivilegeError) {
    for name in CallNames.all(calls) { try add(name, []) }
    try addPartial(calls)
    let error = unsafe seccomp_load(context)
    guard error == 0 else {
      throw PrivilegeError(
        "load the filter of system calls", errno: -error,
        remedy: "a kernel without CONFIG_SECCOMP_FILTER needs --privileges keep")
    }
  }

  /// Calls of which only some arguments are let through.
  private func addPartial(_ calls: Permissions.Calls) throws(PrivilegeError) {
    // No code but what is loaded: dlopen(3) maps it with PROT_EXEC.
    for name in ["mmap", "mprotect"] {
      try add(name, [CallFilter.masked(2, UInt64(PROT_EXEC), 0)])
    }
    // Limits may be read, not set.
    try add("prlimit64", [CallFilter.equal(2, 0)])
    // abort(3) and raise(3) are signals of a process to itself.
    try add("tgkill", [CallFilter.equal(0, UInt64(getpid()))])
    for request in CallNames.requests(calls) { try add("ioctl", [CallFilter.equal(1, request)]) }
    if calls.contains(.connections) {
      for family in [AF_INET, AF_INET6] {
        let kind = UInt64(SOCK_STREAM.rawValue)
        try add(
          "socket", [CallFilter.equal(0, UInt64(family)), CallFilter.masked(1, 0xf, kind)])
      }
    }
    guard calls.contains(.threads) else { return }
    // glibc takes clone where there is no clone3, whose arguments no filter can see.
    try add("clone3", [], CallFilter.errno(ENOSYS))
    let thread: UInt64 = 0x1_0000  // CLONE_THREAD
    try add("clone", [CallFilter.masked(0, thread, thread)])
  }

  private func add(
    _ name: String, _ arguments: [scmp_arg_cmp], _ action: UInt32 = CallFilter.allow
  ) throws(PrivilegeError) {
    let number = unsafe seccomp_syscall_resolve_name(name)
    // One that this architecture or this libseccomp does not know.
    guard number != -1 else { return }
    let error = unsafe arguments.withUnsafeBufferPointer { list in
      unsafe seccomp_rule_add_array(
        context, action, number, UInt32(list.count), list.baseAddress)
    }
    guard error == 0 else { throw PrivilegeError("allow \(name)", errno: -error) }
  }

  private static func equal(_ argument: UInt32, _ value: UInt64) -> scmp_arg_cmp {
    scmp_arg_cmp(arg: argument, op: SCMP_CMP_EQ, datum_a: value, datum_b: 0)
  }

  private static func masked(_ argument: UInt32, _ mask: UInt64, _ value: UInt64) -> scmp_arg_cmp {
    scmp_arg_cmp(arg: argument, op: SCMP_CMP_MASKED_EQ, datum_a: mask, datum_b: value)
  }
}
