import CIngestKernel
import Glibc

/// What Landlock lets a thread do with files, TCP ports and abstract unix sockets. A thread enters
/// it for good, alone, and so do the threads and processes that it starts later.
///
/// It stands in the way of io_uring's requests as well, which no filter of system calls sees.
final class AccessRules: Sendable {
  /// The kernel's version: 1 has files (5.13), 4 TCP ports (6.7), 6 abstract sockets (6.12).
  let version: Int32
  private let descriptor: Int32

  /// Rights on files (LANDLOCK_ACCESS_FS_* in include/uapi/linux/landlock.h).
  private enum Right {
    static let write: UInt64 = 1 << 1
    static let read: UInt64 = 1 << 2
    static let list: UInt64 = 1 << 3
    static let remove: UInt64 = 1 << 5
    static let makeFile: UInt64 = 1 << 8
    static let makeSocket: UInt64 = 1 << 9
    /// Version 2: renames from one directory to another.
    static let refer: UInt64 = 1 << 13
    /// Version 3.
    static let truncate: UInt64 = 1 << 14

    static func known(_ version: Int32) -> UInt64 {
      switch version {
      case ..<2: (1 << 13) - 1
      case 2: (1 << 14) - 1
      case 3, 4: (1 << 15) - 1
      default: (1 << 16) - 1
      }
    }
  }
  private static let bindAndConnect: UInt64 = 3
  private static let connect: UInt64 = 2
  private static let abstractSockets: UInt64 = 1

  /// Nil where the kernel has no Landlock.
  init?(_ permissions: Permissions) throws(PrivilegeError) {
    version = ik_landlock_version()
    guard version > 0 else { return nil }
    let known = Right.known(version)
    descriptor = ik_landlock_rules(
      known, version >= 4 ? AccessRules.bindAndConnect : 0,
      version >= 6 ? AccessRules.abstractSockets : 0)
    guard descriptor >= 0 else {
      throw PrivilegeError("make rules of Landlock", errno: -descriptor)
    }
    let change = Right.write | Right.remove | Right.makeFile | Right.makeSocket | Right.refer
    for path in permissions.writable {
      try allow(path, (change | Right.truncate | Right.list) & known)
    }
    for path in permissions.readable {
      var status = stat()
      // What is not there needs no right.
      guard unsafe stat(path, &status) == 0 else { continue }
      try allow(path, status.st_mode & S_IFMT == S_IFDIR ? Right.read | Right.list : Right.read)
    }
    guard version >= 4 else { return }
    for port in permissions.ports {
      let error = ik_landlock_allow_port(descriptor, port, AccessRules.connect)
      guard error == 0 else { throw PrivilegeError("allow TCP port \(port)", errno: -error) }
    }
  }

  deinit {
    if descriptor >= 0 { close(descriptor) }
  }

  private func allow(_ path: String, _ rights: UInt64) throws(PrivilegeError) {
    let error = unsafe path.withCString { unsafe ik_landlock_allow_path(descriptor, $0, rights) }
    guard error == 0 else { throw PrivilegeError("allow files below \(path)", errno: -error) }
  }

  func enter() throws(PrivilegeError) {
    let error = ik_landlock_enter(descriptor)
    guard error == 0 else {
      throw PrivilegeError(
        "enter the rules of Landlock", errno: -error,
        remedy: error == -E2BIG ? "the kernel nests 16 of them at most" : nil)
    }
  }

  /// What is missing in this kernel, as a sentence.
  static func shortcoming(_ version: Int32) -> String? {
    switch version {
    case ...0:
      "this kernel has no Landlock (`cat /sys/kernel/security/lsm`): what files may be opened is "
        + "bounded by their modes, and by the filter of system calls, which does not see io_uring's"
    case ..<4:
      "this kernel's Landlock (version \(version)) does not know TCP, which Linux 6.7 does: "
        + "connections are bounded by the filter of system calls, which does not see io_uring's"
    default: nil
    }
  }
}
