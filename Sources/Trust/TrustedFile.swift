import CIngestKernel
import Glibc

/// Whether an open file can be obeyed: nobody but root and this process's user can change it, or
/// put another in its place.
///
/// Each folder from the root down must be root's or the user's and closed to other writers, or
/// sticky, where nobody renames what is another's. Whoever is let through by that can no longer be
/// led elsewhere: the entry of a folder that was found safe names the same thing for as long as
/// root and the user leave it. So the path that is returned is the file that was checked, for
/// whoever opens it again by name.
///
/// Other writers are every other user, and the members of a group that is neither root's nor the
/// user's own: one of the user's name with nobody else in it, as many systems give to each.
package enum TrustedFile {
  /// Checks an open file. Returns its absolute path, links followed; nil for what has none, such as
  /// a pipe.
  ///
  /// `given` is the path that it was opened by. The kernel calls are `fstat`, `readlink` and, for
  /// each folder, `lstat`.
  package static func check(_ descriptor: Int32, given: String) throws(TrustError) -> String? {
    var opened = stat()
    guard unsafe fstat(descriptor, &opened) == 0 else {
      throw TrustError(
        what: "cannot look at \(given): \(errorText())", remedy: "check it with ls -l \(given)")
    }
    let name = resolved(descriptor, given)
    try judge(opened, name ?? given)
    // Of a pipe or a file that was removed nobody else has a name.
    guard let name, name.hasPrefix("/"), opened.st_nlink > 0 else { return nil }
    var folder = ""
    for part in name.split(separator: "/").dropLast() {
      try judge(folder: folder.isEmpty ? "/" : folder)
      folder += "/" + part
    }
    try judge(folder: folder.isEmpty ? "/" : folder)
    var there = stat()
    guard unsafe lstat(name, &there) == 0, there.st_dev == opened.st_dev,
      there.st_ino == opened.st_ino
    else { throw changed(name) }
    return name
  }

  /// The name that the kernel has for what was opened, without links.
  private static func resolved(_ descriptor: Int32, _ given: String) -> String? {
    var text = [UInt8](repeating: 0, count: 4096)
    let count = unsafe text.withUnsafeMutableBytes { bytes in
      // 4096 bytes have an address.
      unsafe readlink("/proc/self/fd/\(descriptor)", bytes.baseAddress!, bytes.count)
    }
    if count > 0 && count < text.count { return String(decoding: text[..<count], as: UTF8.self) }
    // Without /proc.
    guard let real = unsafe realpath(given, nil) else { return nil }
    defer { unsafe free(real) }
    return unsafe String(cString: real)
  }

  private static func judge(folder path: String) throws(TrustError) {
    var found = stat()
    guard unsafe lstat(path, &found) == 0, found.st_mode & S_IFMT == S_IFDIR else {
      throw changed(path)
    }
    try judge(found, path)
  }

  private static func judge(_ found: stat, _ path: String) throws(TrustError) {
    guard found.st_uid == 0 || found.st_uid == geteuid() else {
      throw TrustError(
        what: "\(path) belongs to \(user(found.st_uid)), who could change it",
        remedy: "`chown root \(path)`, or copy what is needed to a place of your own")
    }
    let kind = found.st_mode & S_IFMT
    // In a sticky folder only owners rename and remove. A device's writers are not its readers.
    if kind == S_IFDIR && found.st_mode & S_ISVTX != 0 || kind == S_IFCHR { return }
    let mode = String(found.st_mode & 0o7777, radix: 8)
    if found.st_mode & S_IWOTH != 0 {
      throw TrustError(
        what: "\(path) can be written by every user (mode \(mode))",
        remedy: "`chmod \(found.st_mode & S_IWGRP != 0 ? "go" : "o")-w \(path)`")
    }
    guard found.st_mode & S_IWGRP != 0 else { return }
    guard found.st_gid == 0 || ik_is_own_group(found.st_gid) != 0 else {
      throw TrustError(
        what: "\(path) can be written by \(group(found.st_gid)) (mode \(mode))",
        remedy: "`chmod g-w \(path)`")
    }
    guard unsafe ik_has_access_list(path) == 0 else {
      throw TrustError(
        what: "\(path) has an access control list that lets others write it",
        remedy: "`getfacl \(path)` shows it, `setfacl -b \(path)` removes it")
    }
  }

  private static func changed(_ path: String) -> TrustError {
    TrustError(
      what: "\(path) was replaced while it was looked at",
      remedy: "somebody is at work there: try again when that is done")
  }

  private static func user(_ number: uid_t) -> String {
    let name = unsafe getpwuid(number).map { unsafe String(cString: $0.pointee.pw_name) }
    return "user \(number)" + (name.map { " (\($0))" } ?? "")
  }

  private static func group(_ number: gid_t) -> String {
    let name = unsafe getgrgid(number).map { unsafe String(cString: $0.pointee.gr_name) }
    return "group \(number)" + (name.map { " (\($0))" } ?? "")
  }

  private static func errorText() -> String { unsafe String(cString: strerror(errno)) }
}
