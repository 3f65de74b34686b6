import Glibc

/// A stage in C as tests write it: compiled into a shared object of its own directory, which is
/// gone afterwards.
public final class PluginSource: Sendable {
  public let directory: String
  public let path: String

  /// Compiles `source`, which has `ingest_stage.h` included. Errors: what the compiler says.
  public init(_ source: String, flags: String = "-shared -fPIC") throws(PluginSourceError) {
    let directory = try PluginSource.makeDirectory()
    self.directory = directory
    path = directory + "/libstage.so"
    let text = directory + "/stage.c"
    try PluginSource.write("#include \"ingest_stage.h\"\n" + source, to: text)
    try PluginSource.run(
      "cc -std=c11 -O1 -Wall -Werror -Wno-unused-function \(flags) -I '\(Self.include)'"
        + " '\(text)' -o '\(path)'")
  }

  /// Files of one's own, without compiling anything.
  public init(file: String) throws(PluginSourceError) {
    directory = try PluginSource.makeDirectory()
    path = directory + "/libstage.so"
    try PluginSource.write(file, to: path)
  }

  deinit { try? PluginSource.run("rm -r '\(directory)'") }

  /// Where ingest_stage.h is.
  public static var include: String {
    let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    return "/\(root)/Sources/CIngestStage/include"
  }

  private static func makeDirectory() throws(PluginSourceError) -> String {
    var name = Array("/tmp/ingest-plugin-XXXXXX".utf8CString)
    let isMade = unsafe name.withUnsafeMutableBufferPointer { buffer in
      unsafe buffer.baseAddress.map { unsafe mkdtemp($0) != nil } ?? false
    }
    guard isMade else { throw PluginSourceError(said: "no directory under /tmp: errno \(errno)") }
    return String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  public static func write(_ text: String, to path: String) throws(PluginSourceError) {
    guard let file = unsafe fopen(path, "w") else {
      throw PluginSourceError(said: "cannot write \(path): errno \(errno)")
    }
    unsafe fputs(text, file)
    unsafe fclose(file)
  }

  /// Runs a command of the shell to its end; throws what it said where it fails.
  public static func run(_ command: String) throws(PluginSourceError) {
    guard let pipe = unsafe popen(command + " 2>&1", "r") else {
      throw PluginSourceError(said: "cannot run \(command): errno \(errno)")
    }
    var said: [UInt8] = []
    var byte = unsafe fgetc(pipe)
    while byte >= 0 {
      said.append(UInt8(truncatingIfNeeded: byte))
      byte = unsafe fgetc(pipe)
    }
    guard unsafe pclose(pipe) == 0 else {
      throw PluginSourceError(said: "\(command): " + String(decoding: said, as: UTF8.self))
    }
  }

  /// A table with these members set; names of functions come from the source before it.
  public static func table(_ members: String) -> String {
    """
    const ingest_stage_table *ingest_stage_entry(uint32_t host) {
      (void)host;
      static const ingest_stage_table table = {
        .size = sizeof(ingest_stage_table), .version = INGEST_STAGE_VERSION, .name = "test",
        .flags = INGEST_STAGE_READS_PAYLOAD,
        .create = create, .take = take, .destroy = destroy, \(members)
      };
      return &table;
    }
    """
  }

  /// The functions that every table has.
  public static let functions = """
    static int create(const ingest_stage_host *host, const char *options, void **instance,
                      char *error, size_t size) { return 0; }
    static void take(void *instance, const ingest_stage_batch *batch) {}
    static void destroy(void *instance) {}
    """
}

public struct PluginSourceError: Error {
  public let said: String
}
