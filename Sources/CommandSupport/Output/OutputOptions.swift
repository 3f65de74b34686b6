package import ArgumentParser

/// What every command that moves bytes prints, and where from it takes its configuration.
package struct OutputOptions: ParsableArguments {
  @Option(
    name: [.customShort("i", allowingJoined: true), .long],
    help: ArgumentHelp("Seconds between interval lines; 0 prints none.", valueName: "seconds"))
  package var interval: String = "1"

  @Option(
    name: [.customShort("f", allowingJoined: true), .long],
    help: ArgumentHelp(
      "Unit of rates: k, m, g, t (bits) or K, M, G, T (bytes); adaptive if not given.",
      valueName: "unit"))
  package var format: String?

  @Flag(name: [.customShort("J"), .long], help: "Print one JSON document at the end.")
  package var json = false

  @Flag(help: "Print one JSON object a line while running: start, interval, event, fault, end.")
  package var jsonStream = false

  @Flag(name: [.customShort("V"), .long], help: "Also say when each connection opens and ends.")
  package var verbose = false

  @Option(
    help: ArgumentHelp(
      "Read a JSON5 configuration; flags override what it says. - is standard input.",
      valueName: "file"))
  package var config: String?

  @Flag(help: "Print the effective configuration, which --config can read, and exit.")
  package var showConfig = false

  package init() {}

  package func validate() throws {
    if json && jsonStream {
      throw ValidationError("--json and --json-stream cannot be given together")
    }
    if let format, RateFormat(rawValue: format) == nil {
      throw ValidationError("--format \(format): expected one of k, m, g, t, K, M, G, T")
    }
    guard let seconds = Units.seconds(interval), seconds == 0 || seconds >= 0.01 else {
      throw ValidationError("--interval \(interval): expected 0, or seconds from 0.01 up")
    }
  }

  /// Seconds between interval lines; nil prints none.
  package var intervalSeconds: Double? {
    guard let seconds = Units.seconds(interval), seconds > 0 else { return nil }
    return seconds
  }

  package var rateFormat: RateFormat { format.flatMap(RateFormat.init) ?? .adaptive }

  package var style: OutputStyle { json ? .document : jsonStream ? .stream : .people }
}

/// Who reads the output.
package enum OutputStyle: Sendable {
  case people
  /// One JSON document at the end.
  case document
  /// One JSON object a line.
  case stream
}
