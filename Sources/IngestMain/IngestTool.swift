import ArgumentParser
import CommandSupport

/// `ingest`: the root of the commands.
struct IngestTool: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ingest",
    abstract: "Receive TCP streams at speed: find records, verify them, hand them to a sink.",
    discussion: """
      Without the name of a command, `run` is meant: `ingest --port 5301` receives.

      New here? `ingest loopback` drives both ends over this host's loopback for five seconds \
      and prints what came of it. No privilege is needed.

      EXAMPLES
        ingest loopback
        ingest saturate --rate 200G --mtu 4096
        ingest --port 5301 --parse lines --sink file:/data/out
        ingest --port 5301 --parse wire --checksum crc32c:verify
        ingest stages
        ingest --ifname eth1 --queue 8
        ingest doctor --ifname eth1 --queue 8
        ingest nic plan --ifname eth1 --queue 8
        ingest flight show /run/ingest/ingest-4711.flight
        ingest help run

      \(HelpText.exitCodes)
      """,
    version: HelpText.version,
    subcommands: [
      RunCommand.self, LoopbackCommand.self, SaturateCommand.self, StagesCommand.self,
      DoctorCommand.self, NICCommand.self, FlightCommand.self, StageHostCommand.self,
      NICKeeperCommand.self,
    ],
    defaultSubcommand: RunCommand.self)
}
