import ArgumentParser
import CommandSupport
import Stages

/// `ingest stages`: what the places of the chain can hold.
struct StagesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stages",
    abstract: "List the kinds of --parse, --checksum, --stage and --sink with their options.",
    discussion: """
      A stage is spelled KIND or KIND:OPTIONS, options as key=value with commas between. A sink's \
      path comes first: file:/data/out,bytes=payload.
      """)

  @Flag(name: [.customShort("J"), .long], help: "Print the list as JSON.")
  var json = false

  mutating func run() throws {
    if json {
      let list = StageList(schema: Schema.name, stages: StageHelp.all)
      Output.data.line(try JSONText.encode(list, pretty: true))
      return
    }
    var place = ""
    for stage in StageHelp.all {
      if stage.place != place {
        if !place.isEmpty { Output.data.line("") }
        place = stage.place
        Output.data.line("--\(place)  \(StageHelp.purpose(of: place))")
      }
      Output.data.line("  " + Units.right(stage.kind, 11) + stage.what)
      for option in stage.options {
        Output.data.line("             " + Units.right(option.spelling, 20) + option.what)
      }
      Output.data.line("             e.g. --\(place) \(stage.example)")
    }
    if let own = IngestProgram.stageName {
      Output.data.line("")
      Output.data.line("\(own)  a stage of this program's own, between --checksum and --sink")
    }
  }
}

private struct StageList: Encodable {
  var schema: String
  var stages: [StageHelp]
}
