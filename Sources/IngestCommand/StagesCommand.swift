import ArgumentParser
struct StagesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "stages")
}
