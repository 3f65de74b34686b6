import Glibc
import Testing

/// A built command, run as a user runs it.
final class RunningCommand {
  let process: pid_t
  private let outPath: String
  private let errorPath: String
  private var status: Int32?

  struct Failure: Error { var text: String }

  /// What a command left behind.
  struct Result {
    /// The exit code, or 128 and the signal that ended it.
    var code: Int32
    var out: String
    var error: String
  }

  /// Starts `ingest` or `ingest-send` of this build with standard input empty.
  ///
  /// - Parameter output: where standard output goes instead of to ``out``; nil closes it.
  init(
    _ name: String, _ arguments: [String], input: String = "/dev/null", output: String? = ""
  ) throws {
    let path = RunningCommand.buildDirectory + "/" + name
    guard unsafe access(path, X_OK) == 0 else {
      throw Failure(text: "\(path) is not there: swift build makes it")
    }
    outPath = try RunningCommand.temporaryFile()
    errorPath = try RunningCommand.temporaryFile()
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    unsafe posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
    if let output {
      let path = output.isEmpty ? outPath : output
      unsafe posix_spawn_file_actions_addopen(&actions, 1, path, O_WRONLY, 0)
    } else {
      unsafe posix_spawn_file_actions_addclose(&actions, 1)
    }
    unsafe posix_spawn_file_actions_addopen(&actions, 2, errorPath, O_WRONLY, 0)
    var vector = unsafe ([path] + arguments).map { unsafe strdup($0) } + [nil]
    defer { unsafe vector.forEach { unsafe free($0) } }
    var child: pid_t = 0
    let error = unsafe posix_spawn(&child, path, &actions, nil, &vector, environ)
    guard error == 0 else { throw Failure(text: "posix_spawn \(path): \(error)") }
    process = child
  }

  deinit {
    if status == nil {
      kill(process, SIGKILL)
      _ = reap(0)
    }
    unsafe unlink(outPath)
    unsafe unlink(errorPath)
  }

  func signal(_ number: Int32) { kill(process, number) }

  /// What it has printed so far.
  var out: String { RunningCommand.text(of: outPath) }
  var error: String { RunningCommand.text(of: errorPath) }

  /// Waits until it has printed a text, on either output; throws when it ended or took too long.
  func waitFor(_ text: String, seconds: Int = 30) throws {
    for _ in 0..<seconds * 100 {
      if out.contains(text) || error.contains(text) { return }
      if reap(WNOHANG) { break }
      usleep(10_000)
    }
    if out.contains(text) || error.contains(text) { return }
    throw Failure(text: "no \"\(text)\" in:\n\(out)\n\(error)")
  }

  /// Waits for its end; one that does not come is killed, and fails the test.
  func finish(seconds: Int = 60) throws -> Result {
    for _ in 0..<seconds * 100 where !reap(WNOHANG) { usleep(10_000) }
    guard let status else {
      kill(process, SIGKILL)
      _ = reap(0)
      throw Failure(text: "still running after \(seconds) s:\n\(out)\n\(error)")
    }
    let signal = status & 0x7f
    return Result(code: signal == 0 ? status >> 8 & 0xff : 128 + signal, out: out, error: error)
  }

  private func reap(_ options: Int32) -> Bool {
    if status != nil { return true }
    var ended: Int32 = 0
    if unsafe waitpid(process, &ended, options) == process { status = ended }
    return status != nil
  }

  /// Runs a command to its end.
  static func run(_ name: String, _ arguments: String...) throws -> Result {
    try RunningCommand(name, arguments).finish()
  }

  /// Where this test's own binary lies, and the commands beside it.
  static let buildDirectory: String = {
    let path = resolved("/proc/self/exe")
    // The test runner of some toolchains loads the bundle; its path is an argument then.
    let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") }
    let own = path.hasSuffix(".xctest") ? path : bundle ?? path
    return String(own[..<(own.lastIndex(of: "/") ?? own.startIndex)])
  }()

  /// The root of the package, where configs/ lies.
  static let root: String = {
    var path = #filePath
    for _ in 0..<3 { path = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]) }
    return path
  }()

  static func text(of path: String) -> String {
    String(decoding: bytes(of: path), as: UTF8.self)
  }

  /// What a file holds; nothing where it cannot be read.
  static func bytes(of path: String) -> [UInt8] {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return [] }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let got = unsafe chunk.withUnsafeMutableBytes { buffer in
        unsafe read(descriptor, buffer.baseAddress, buffer.count)
      }
      guard got > 0 else { return bytes }
      bytes += chunk[..<got]
    }
  }

  static func temporaryDirectory() throws -> String {
    var name = Array("/tmp/ingest-test-XXXXXX".utf8CString)
    guard unsafe mkdtemp(&name) != nil else { throw Failure(text: "mkdtemp: \(errno)") }
    return String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Removes a directory and the files in it.
  static func remove(directory: String) {
    guard let handle = unsafe opendir(directory) else { return }
    while let entry = unsafe readdir(handle) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      unsafe unlink(directory + "/" + name)
    }
    unsafe closedir(handle)
    unsafe rmdir(directory)
  }

  /// A new empty file; the caller removes it.
  static func temporaryFile(_ text: String = "") throws -> String {
    var name = Array("/tmp/ingest-test-XXXXXX".utf8CString)
    let descriptor = unsafe mkstemp(&name)
    guard descriptor >= 0 else { throw Failure(text: "mkstemp: \(errno)") }
    defer { close(descriptor) }
    let bytes = Array(text.utf8)
    guard unsafe write(descriptor, bytes, bytes.count) == bytes.count else {
      throw Failure(text: "write: \(errno)")
    }
    return String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  private static func resolved(_ link: String) -> String {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = unsafe buffer.withUnsafeMutableBytes { bytes in
      unsafe readlink(link, bytes.baseAddress!, bytes.count)
    }
    return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
  }
}
