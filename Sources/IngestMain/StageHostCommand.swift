import ArgumentParser
import Privilege
import Stages

/// `ingest stage-host`: the process of an isolated stage. `ingest run` starts it; nobody else does.
struct StageHostCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stage-host", abstract: "Run a stage for the ingest that started this.",
    shouldDisplay: false)

  @Option var library: String
  /// After a question mark, since a flag's value is not empty.
  @Option var options: String
  @Option var control: Int32
  @Option var desk: Int32
  @Option var area: Int32
  @Option var areaBytes: Int
  @Option var thread: Int
  @Option var threads: Int
  @Option var maxConnections: Int
  @Option var parent: Int32
  @Option var drop: String?

  mutating func run() throws {
    let code = PluginServer.run(
      PluginServer.Start(
        library: library, options: String(options.dropFirst()), control: control, desk: desk,
        area: area, areaBytes: areaBytes,
        place: PluginPlace(thread: thread, threads: threads, maxConnections: maxConnections),
        parent: parent),
      try hooks())
    if code != 0 { throw ExitCode(code) }
  }

  /// Code of the shared object runs from when it is loaded: with no capability but those that it
  /// takes to become the receiver's user, which the loader does next, since a file may be its
  /// starter's alone to read. What it makes may open nothing any more, but has what it opened when
  /// it was made; rules for files can only come then, because nobody leaves them again.
  private func hooks() throws -> PluginServer.Hooks {
    guard let drop else { return PluginServer.Hooks() }
    var permissions = Permissions()
    permissions.calls = .threads
    permissions.user = try User(named: drop)
    let given = permissions
    var loading = Permissions()
    loading.capabilities = given.user == .current ? 0 : Permissions.changeOfUser
    let early = loading
    return PluginServer.Hooks(
      loading: { () throws(SinkError) in
        try StageHostCommand.told { () throws(PrivilegeError) in
          try PrivilegeDrop(early).dropIdentity()
        }
      },
      loaded: { () throws(SinkError) in
        try StageHostCommand.told { () throws(PrivilegeError) in
          try PrivilegeDrop(given).dropIdentity()
        }
      },
      made: { () throws(SinkError) in
        try StageHostCommand.told { () throws(PrivilegeError) in
          let drop = try PrivilegeDrop(given)
          try drop.dropThread()
          try drop.filterCalls()
        }
      })
  }

  private static func told(_ body: () throws(PrivilegeError) -> Void) throws(SinkError) {
    do throws(PrivilegeError) { try body() } catch {
      throw SinkError(.failed, error.what, remedy: error.remedy)
    }
  }
}
