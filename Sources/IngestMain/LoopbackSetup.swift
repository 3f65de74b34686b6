import ArgumentParser
import CommandSupport
import Ingest
import JSON5

/// The configurations of both ends of a run over loopback: defaults, then a file, then flags.
struct LoopbackSetup {
  let command: String
  private(set) var receive: ReceiveConfiguration
  private(set) var send: SendConfiguration

  /// `receiveMore` are flags of one command alone.
  init(
    command: String, _ options: LoopbackOptions, _ output: OutputOptions,
    receiveMore: [Override] = []
  ) throws {
    let receiveSettings = Setting<ReceiveConfiguration>.all
    let sendSettings = Setting<SendConfiguration>.all
    self.command = command
    (receive, send) = LoopbackSetup.defaults()
    if let path = output.config {
      let file = try ConfigurationFile(path)
      try file.check(command: command, keys: ["receive", "send"])
      try file.apply(receiveSettings, to: &receive, section: "receive")
      try file.apply(sendSettings, to: &send, section: "send")
    }
    try receiveSettings.apply(options.receiveOverrides + receiveMore, to: &receive)
    try sendSettings.apply(options.sendOverrides, to: &send)
    if send.time == 0 && send.bytes == 0 && send.records == 0 && send.file == nil {
      send.time = 5
    }
  }

  /// What `--show-config` prints and `--config` reads.
  var object: [String: JSONValue] {
    [
      "command": .string(command),
      "receive": .object(Setting<ReceiveConfiguration>.all.object(of: receive)),
      "send": .object(Setting<SendConfiguration>.all.object(of: send)),
    ]
  }

  /// Prints the configuration where that is all that was asked for. Else refuses what only two
  /// hosts can do.
  func isPrinted(_ output: OutputOptions) throws -> Bool {
    if output.showConfig {
      Output.data.line(try JSONText.encode(object, pretty: true))
      return true
    }
    guard send.transport == .tcp else {
      throw ValidationError("the receiver takes TCP only: send.transport must be \"tcp\"")
    }
    return false
  }

  /// Records with CRC32C, verified; one CPU for each end where there are two.
  private static func defaults() -> (receive: ReceiveConfiguration, send: SendConfiguration) {
    var receive = ReceiveConfiguration()
    receive.listen = "127.0.0.1"
    // The kernel chooses, so that two runs at a time do not meet.
    receive.port = 0
    receive.parse = "wire"
    receive.checksum = "crc32c:verify"
    var send = SendConfiguration()
    send.congestion = Machine.loopbackCongestion()
    let cpus = allowedCPUs()
    if let first = cpus.first, let last = cpus.last {
      send.cpus = [first]
      receive.cpus = [last]
    }
    return (receive, send)
  }
}
