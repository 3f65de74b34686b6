import CIngestKernel
import Glibc

extension User {
  /// Whether this user can make files in a directory, by the modes of it and of those above it.
  /// What access control lists say is not looked at.
  public func mayWrite(in folder: String) -> Bool {
    guard let resolved = unsafe realpath(folder, nil) else { return false }
    let path = unsafe String(cString: resolved)
    unsafe free(resolved)
    var directory = ""
    for name in path.split(separator: "/") {
      guard has(1, directory.isEmpty ? "/" : directory) else { return false }
      directory += "/" + name
    }
    return has(3, directory.isEmpty ? "/" : directory)
  }

  /// Whether it has these of the rights write (2) and search (1).
  private func has(_ rights: mode_t, _ directory: String) -> Bool {
    var status = stat()
    guard unsafe stat(directory, &status) == 0 else { return false }
    let shift: mode_t = status.st_uid == identifier ? 6 : status.st_gid == group ? 3 : 0
    return status.st_mode >> shift & rights == rights
  }
}
