import ArgumentParser
struct LoopbackCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "loopback")
}
