import ArgumentParser
import Ingest

/// `ingest nic-keeper`: puts an interface back when the `ingest run` that started it has ended, or
/// says so. Nobody else starts it.
struct NICKeeperCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nic-keeper", abstract: "Put a NIC back for the ingest that started this.",
    shouldDisplay: false)

  @Option var ifname: String
  @Option var holder: Int
  @Option var socket: Int32

  mutating func run() throws {
    let code = NICKeeperServer.run(ifname, holder: holder, socket: socket)
    if code != 0 { throw ExitCode(code) }
  }
}
