import CIngestKernel
import Glibc

/// Gives up, thread by thread, what a process could do beyond its ``Permissions``.
///
/// Capabilities, ids and Landlock are a thread's own, so each calls ``dropThread()`` once it has
/// opened what it needs; threads that it starts afterwards are born so. When all have,
/// ``filterCalls()`` puts the whole process under the filter of system calls.
public final class PrivilegeDrop: Sendable {
  public let permissions: Permissions
  private let rules: AccessRules?

  /// Errors: a folder that is missing.
  public init(_ permissions: Permissions) throws(PrivilegeError) {
    self.permissions = permissions
    rules = try AccessRules(permissions)
  }

  /// Drops the privileges of the calling thread. Not to be undone.
  ///
  /// - Cost: some 50 system calls.
  public func dropThread() throws(PrivilegeError) {
    try forbidNew()
    try rules?.enter()
    try dropIdentity()
  }

  /// As ``dropThread()``, but files and connections stay as they are.
  public func dropIdentity() throws(PrivilegeError) {
    try forbidNew()
    var error = ik_bound_capabilities(permissions.capabilities)
    // Without CAP_SETPCAP the bounding set stays; with no_new_privs nothing comes of it.
    guard error == 0 || error == -EPERM else {
      throw PrivilegeError("bound the capabilities", errno: -error)
    }
    if let user = permissions.user, user != .current {
      error = ik_change_user(user.identifier, user.group)
      guard error == 0 else {
        throw PrivilegeError(
          "become user \(user)", errno: -error,
          remedy: "`--user NAME` names another, --privileges keep changes nothing")
      }
    }
    error = ik_keep_capabilities(permissions.capabilities)
    guard error == 0 else { throw PrivilegeError("give capabilities up", errno: -error) }
    try verify()
  }

  private func forbidNew() throws(PrivilegeError) {
    let error = ik_no_new_privileges()
    guard error == 0 else { throw PrivilegeError("set no_new_privs", errno: -error) }
  }

  /// Puts all threads of the process under the filter of system calls.
  public func filterCalls() throws(PrivilegeError) {
    try CallFilter().load(permissions.calls)
    guard ik_seccomp_mode() == 2 else { throw PrivilegeError("filter system calls", errno: ENOSYS) }
  }

  /// What the calling thread has, read back from the kernel; of Landlock what it has entered.
  public func inEffect() -> PrivilegesInEffect {
    var own: UInt64 = 0
    var bounding: UInt64 = 0
    unsafe ik_capabilities(&own, &bounding)
    return PrivilegesInEffect(
      uid: geteuid(), gid: getegid(), capabilities: hexadecimal(own), seccomp: ik_seccomp_mode(),
      landlock: rules?.version ?? 0, noNewPrivileges: ik_has_no_new_privileges() != 0)
  }

  /// What this kernel lacks, as sentences.
  public var remarks: [String] {
    [AccessRules.shortcoming(rules?.version ?? 0)].compactMap { $0 }
  }

  /// How many threads the process has: those that nobody told of this, too.
  public static var threadCount: Int {
    var status = stat()
    // A directory each, and two links to the directory itself (proc(5)).
    guard unsafe stat("/proc/self/task", &status) == 0 else { return 0 }
    return Int(status.st_nlink) - 2
  }

  private func verify() throws(PrivilegeError) {
    var own: UInt64 = 0
    var bounding: UInt64 = 0
    let isRead = unsafe ik_capabilities(&own, &bounding) == 0
    let isUser = permissions.user.map { $0 == .current } ?? true
    guard isRead, own & ~permissions.capabilities == 0, isUser, ik_has_no_new_privileges() != 0
    else {
      throw PrivilegeError(
        "drop the privileges of a thread, though the kernel said so", errno: EPERM)
    }
  }
}

/// What a process may do, as `--json` tells it.
public struct PrivilegesInEffect: Equatable, Sendable, Encodable, CustomStringConvertible {
  public var uid: UInt32
  public var gid: UInt32
  /// As in /proc/PID/status: 16 digits, all 0 for none.
  public var capabilities: String
  /// 2 is a filter of system calls, 0 none.
  public var seccomp: Int32
  /// The version of Landlock whose rules it has entered; 0 is none.
  public var landlock: Int32
  public var noNewPrivileges: Bool

  public var description: String {
    "user \(uid):\(gid), capabilities \(capabilities), seccomp \(seccomp), Landlock \(landlock), "
      + "no_new_privs \(noNewPrivileges ? 1 : 0)"
  }
}

private func hexadecimal(_ bits: UInt64) -> String {
  let digits = String(bits, radix: 16)
  return String(repeating: "0", count: 16 - digits.count) + digits
}
