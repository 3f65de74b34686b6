import CIngestKernel
package import CIngestStage
import Glibc
import Synchronization

/// A shared object with a stage in it, loaded and found to fit. It is never unloaded: sentences
/// about its faults may be asked for until the process ends.
@safe
public struct PluginLibrary: @unchecked Sendable {
  // Sendable: the table never changes, and its functions say from which threads they are called.
  /// The absolute path, links followed.
  public let path: String
  /// The stage's name, as faults and summaries say it.
  public let name: String
  /// Whether the stage looks at payload.
  public let readsPayload: Bool
  package let table: UnsafePointer<ingest_stage_table>

  /// Loads a shared object and checks its table.
  ///
  /// Errors: no such file, one that others could have written, no shared object, an unresolved
  /// symbol, no entry, a table of another version or too small, and executables that cannot load
  /// anything. Each says what mends it. Code of the shared object runs from here on, with the
  /// rights of this process.
  ///
  /// The kernel calls are `stat` and, by dlopen(3), `open` and `mmap`.
  public init(_ path: String) throws(SinkError) {
    guard ik_is_static() == 0 else {
      throw SinkError(
        .failed, "--stage \(path): this executable is statically linked and cannot load it",
        remedy: "build without -static-executable (-static-stdlib is fine)")
    }
    let file = try PluginFile(path)
    unsafe dlerror()
    guard let handle = unsafe dlopen(file.path, RTLD_NOW | RTLD_LOCAL) else {
      throw PluginLibrary.refused(file.path, unsafe dlerror().map { unsafe String(cString: $0) })
    }
    guard let symbol = unsafe dlsym(handle, INGEST_STAGE_SYMBOL) else {
      throw SinkError(
        .failed, "\(file.path) has no stage in it: it does not export \(INGEST_STAGE_SYMBOL)",
        remedy: "export that function (ingest_stage.h); `nm -D \(file.path)` shows what there is")
    }
    let entry = unsafe unsafeBitCast(symbol, to: ingest_stage_entry_function.self)
    let host = UInt32(INGEST_STAGE_VERSION)
    guard let table = unsafe entry(host) else {
      throw SinkError(
        .failed, "\(file.path) has no stage for version \(host) of ingest_stage.h",
        remedy: "rebuild it with the ingest_stage.h of this ingest")
    }
    try unsafe self.init(unsafeTable: table, path: file.path)
  }

  /// What the entry of the shared object at `path` gave, found to fit.
  @unsafe
  init(unsafeTable table: UnsafePointer<ingest_stage_table>, path: String) throws(SinkError) {
    self.path = path
    unsafe self.table = table
    name = try unsafe PluginLibrary.check(table, path)
    readsPayload = unsafe table.pointee.flags & UInt32(INGEST_STAGE_READS_PAYLOAD) != 0
    try PluginNames.claim(name, by: path)
  }

  /// What the stage means by a code; from any thread.
  package func sentence(for code: UInt64) -> String {
    guard let sentence = unsafe table.pointee.sentence else { return "code \(code)" }
    return unsafe PluginText.read { text, size in
      unsafe sentence(code, text, size)
    } ?? "code \(code)"
  }

  /// The name, where the table is one that can be used.
  static func check(
    _ table: UnsafePointer<ingest_stage_table>, _ path: String
  ) throws(SinkError) -> String {
    let version = unsafe table.pointee.version
    let host = UInt32(INGEST_STAGE_VERSION)
    guard version == host else {
      throw SinkError(
        .failed, "\(path) was built for version \(version) of ingest_stage.h, this is \(host)",
        remedy: version < host
          ? "rebuild it with the ingest_stage.h of this ingest"
          : "use a newer ingest, or build it with an older ingest_stage.h")
    }
    let size = Int(unsafe table.pointee.size)
    let wanted = unsafe MemoryLayout<ingest_stage_table>.size
    guard size >= wanted else {
      throw SinkError(
        .failed,
        "\(path): its table has \(size) bytes, version \(host) has \(wanted)",
        remedy: "set `.size = sizeof(ingest_stage_table)` in the table")
    }
    guard let name = unsafe table.pointee.name.map({ unsafe String(cString: $0) }),
      !name.isEmpty, name.utf8.count < 64, !name.utf8.contains(where: { $0 <= 32 })
    else {
      throw SinkError(
        .failed, "\(path): its table names no stage",
        remedy: "set `.name` to a word of at most 63 bytes")
    }
    for (isThere, what) in unsafe [
      (table.pointee.create != nil, "create"), (table.pointee.take != nil, "take"),
      (table.pointee.destroy != nil, "destroy"),
    ] where !isThere {
      throw SinkError(
        .failed, "\(path): its table has no `\(what)`",
        remedy: "create, take and destroy must be there; the other functions may be NULL")
    }
    return name
  }

  private static func refused(_ path: String, _ text: String?) -> SinkError {
    let text = text ?? "no reason given"
    let remedy =
      text.contains("undefined symbol")
      ? "link the library that has it; `ldd -r \(path)` lists what is missing"
      : text.contains("cannot open shared object")
        ? "install the library that it needs; `ldd \(path)` lists what is missing"
        : "build it for this machine with -shared -fPIC; `file \(path)` says what it is"
    return SinkError(.failed, "could not load \(path): \(text)", remedy: remedy)
  }
}

/// Which shared object has which name: faults carry a number for the name.
enum PluginNames {
  private static let paths = Mutex<[String: String]>([:])

  static func claim(_ name: String, by path: String) throws(SinkError) {
    let owner = paths.withLock { paths in
      paths[name] = paths[name] ?? path
      return paths[name]
    }
    guard owner == path else {
      throw SinkError(
        .failed, "\(path) and \(owner ?? "") both call their stage \(name)",
        remedy: "give one of them another `.name`: faults tell stages apart by it")
    }
  }
}

/// Text that a plugin writes.
enum PluginText {
  static let limit = 512

  /// What `write` left in a buffer; nil where that is nothing.
  static func read(_ write: (UnsafeMutablePointer<CChar>, Int) -> Void) -> String? {
    let text = unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: limit) { buffer in
      guard let base = buffer.baseAddress else { return "" }
      unsafe buffer.initialize(repeating: 0)
      unsafe write(base, limit - 1)
      unsafe base[limit - 1] = 0
      return unsafe String(cString: base)
    }
    return text.isEmpty ? nil : text
  }
}
