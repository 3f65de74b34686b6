import Glibc

/// A file that may be loaded into this process: a shared object that nobody but root and this
/// process's user could have written.
struct PluginFile {
  /// Absolute, links followed.
  let path: String

  init(_ given: String) throws(SinkError) {
    guard let resolved = unsafe realpath(given, nil) else {
      throw SinkError(
        .usage, "--stage \(given): \(unsafe String(cString: strerror(errno)))",
        remedy: "give the path of a shared object; it is not searched for (`ls -l \(given)`)")
    }
    path = unsafe String(cString: resolved)
    unsafe free(resolved)
    try PluginFile.checkOwner(path)
    // Whoever may write the directory may put another file in its place.
    let directory = path.split(separator: "/").dropLast().joined(separator: "/")
    try PluginFile.checkOwner("/" + directory)
    try checkKind()
  }

  private static func checkOwner(_ path: String) throws(SinkError) {
    var found = stat()
    guard unsafe stat(path, &found) == 0 else {
      throw SinkError(.usage, "--stage \(path): \(unsafe String(cString: strerror(errno)))")
    }
    guard found.st_uid == 0 || found.st_uid == geteuid() else {
      throw SinkError(
        .usage, "--stage: \(path) belongs to user \(found.st_uid), who could change it",
        remedy: "`chown root \(path)`, or copy it to a place of your own")
    }
    let isDirectory = found.st_mode & S_IFMT == S_IFDIR
    // In a sticky directory only owners replace files.
    if isDirectory && found.st_mode & S_ISVTX != 0 { return }
    let isOthers = found.st_mode & S_IWOTH != 0
    let isGroups =
      found.st_mode & S_IWGRP != 0 && found.st_gid != 0 && found.st_gid != getegid()
    guard !isOthers, !isGroups else {
      throw SinkError(
        .usage, "--stage: \(path) can be written by other users",
        remedy: "`chmod go-w \(path)`: what is loaded runs with all rights of this process")
    }
  }

  /// Refuses what is no shared object, which dlopen(3) says less clearly.
  private func checkKind() throws(SinkError) {
    let file = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else {
      throw SinkError(
        .usage, "--stage \(path): \(unsafe String(cString: strerror(errno)))",
        remedy: "check the file's mode (`ls -l`)")
    }
    defer { close(file) }
    // An ELF file's first bytes, and its type in the 17th: 3 is a shared object.
    var head = [UInt8](repeating: 0, count: 18)
    let count = unsafe head.withUnsafeMutableBytes { unsafe read(file, $0.baseAddress, $0.count) }
    let magic: [UInt8] = [0x7f, 0x45, 0x4c, 0x46]
    guard count == head.count, Array(head[0..<4]) == magic, max(head[16], head[17]) == 3 else {
      throw SinkError(
        .usage, "--stage \(path): it is not a shared object",
        remedy: "build one with `cc -shared -fPIC`; `file \(path)` says what this is")
    }
  }
}
