import CIngestKernel
import Glibc

/// A user and a group by their numbers.
public struct User: Equatable, Sendable, CustomStringConvertible {
  public var identifier: UInt32
  public var group: UInt32

  public init(identifier: UInt32, group: UInt32) {
    self.identifier = identifier
    self.group = group
  }

  public var description: String { "\(identifier):\(group)" }

  /// Who owns nothing: `nobody` where the system has that, else the number that it has everywhere.
  public static var nobody: User {
    (try? User(named: "nobody")) ?? User(identifier: 65534, group: 65534)
  }

  /// Who this process is.
  public static var current: User { User(identifier: geteuid(), group: getegid()) }

  /// Reads `NAME|NUMBER[:GROUP]`; without a group it is the user's own.
  public init(named text: String) throws(PrivilegeError) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let name = String(parts[0])
    if let number = UInt32(name), number != UInt32.max {
      self.init(owner: number, group: number)
    } else if let entry = unsafe getpwnam(name) {
      self.init(identifier: unsafe entry.pointee.pw_uid, group: unsafe entry.pointee.pw_gid)
    } else {
      throw PrivilegeError(
        usage: "--user \(text): there is no user \(name)",
        remedy: "`getent passwd` lists them; a number needs no entry there")
    }
    guard parts.count == 2 else { return }
    let wanted = String(parts[1])
    if let number = UInt32(wanted), number != UInt32.max {
      group = number
    } else if let entry = unsafe getgrnam(wanted) {
      group = unsafe entry.pointee.gr_gid
    } else {
      throw PrivilegeError(
        usage: "--user \(text): there is no group \(wanted)",
        remedy: "`getent group` lists them; a number needs no entry there")
    }
  }

  /// A number with the group that its entry names, else with this one.
  public init(owner identifier: UInt32, group: UInt32) {
    let entry = unsafe getpwuid(identifier)
    self.init(
      identifier: identifier, group: unsafe entry.map { unsafe $0.pointee.pw_gid } ?? group)
  }

  /// Why this process cannot become that user, as the end of a sentence; nil where it can.
  public var obstacle: String? {
    var own: UInt64 = 0
    var bounding: UInt64 = 0
    // CAP_SETGID and CAP_SETUID.
    guard unsafe ik_capabilities(&own, &bounding) == 0, own >> 6 & 3 == 3 else {
      return "that needs CAP_SETUID and CAP_SETGID"
    }
    guard User.isMapped(identifier, "/proc/self/uid_map"),
      User.isMapped(group, "/proc/self/gid_map")
    else { return "this user namespace has no user \(self) (`cat /proc/self/uid_map`)" }
    guard !(text(of: "/proc/self/setgroups") ?? "").hasPrefix("deny") else {
      return "this user namespace does not let groups be dropped (/proc/self/setgroups)"
    }
    return nil
  }

  /// A user that was named and cannot be had.
  public static func refusal(_ name: String, _ obstacle: String) -> PrivilegeError {
    PrivilegeError(
      refused: "cannot become user \(name): \(obstacle)",
      remedy: "start as root, or leave --user out")
  }

  /// Lines are: first number inside, first outside, how many.
  private static func isMapped(_ number: UInt32, _ path: String) -> Bool {
    (text(of: path) ?? "").split(separator: "\n").contains { line in
      let words = line.split(separator: " ").compactMap { UInt64($0) }
      return words.count == 3 && words[0] <= UInt64(number) && UInt64(number) < words[0] + words[2]
    }
  }
}

/// A small file of /proc; nil where it cannot be read.
private func text(of path: String) -> String? {
  let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else { return nil }
  defer { close(descriptor) }
  var bytes = [UInt8](repeating: 0, count: 4096)
  let got = unsafe bytes.withUnsafeMutableBytes { buffer in
    unsafe read(descriptor, buffer.baseAddress, buffer.count)
  }
  return got < 0 ? nil : String(decoding: bytes[..<got], as: UTF8.self)
}
