import Glibc
import Trust

/// A file that may be loaded into this process: a shared object that nobody but root and this
/// process's user could have written.
struct PluginFile {
  /// Absolute, links followed. What is loaded by it is what was checked: nobody else can put
  /// another file there (``TrustedFile``). The name stays, rather than a descriptor's in /proc,
  /// because libraries are found beside it ($ORIGIN) and debuggers show it.
  let path: String

  init(_ given: String) throws(SinkError) {
    // Not to wait for whoever would write into a pipe.
    let file = unsafe open(given, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else {
      throw SinkError(
        .usage, "--stage \(given): \(unsafe String(cString: strerror(errno)))",
        remedy: "give the path of a shared object; it is not searched for (`ls -l \(given)`)")
    }
    defer { close(file) }
    do throws(TrustError) {
      path = try TrustedFile.check(file, given: given) ?? given
    } catch {
      throw SinkError(
        .usage, "--stage: \(error.what)",
        remedy: "\(error.remedy): what is loaded runs with all rights of this process")
    }
    try PluginFile.checkKind(file, path)
  }

  /// Refuses what is no shared object, which dlopen(3) says less clearly.
  private static func checkKind(_ file: Int32, _ path: String) throws(SinkError) {
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
