import ArgumentParser
import CommandSupport
import Ingest
import NICControl

/// What `ingest nic` prints.
enum NICOutput {
  struct Plan: Encodable {
    struct Step: Encodable {
      var text: String
      /// The line of ethtool that does the same; null where ethtool has no words for it.
      var command: String?
    }

    var schema: String
    var ifname: String
    var isDone: Bool
    var steps: [Step]
    var kept: [String]
  }

  struct Restored: Encodable {
    var schema: String
    var ifname: String
    var steps: [String]
    var kept: [String]
  }

  /// A plan as a difference, and as lines to type.
  static func print(_ plan: NICPlan, _ ifname: String, json: Bool, isDone: Bool) throws {
    let steps = plan.steps.map { Plan.Step(text: $0.text, command: $0.command(ifname)) }
    if json {
      let report = Plan(
        schema: Schema.name, ifname: ifname, isDone: isDone, steps: steps, kept: plan.kept)
      Output.data.line(try JSONText.encode(report, pretty: true))
      return
    }
    for sentence in plan.kept { Output.data.line("\(ifname): \(sentence)") }
    guard !steps.isEmpty else {
      Output.data.line("\(ifname): all is as it should be")
      return
    }
    for step in steps { Output.data.line("\(ifname): \(step.text)") }
    Output.data.line("")
    Output.data.line(isDone ? "# done; the same by hand:" : "# by hand:")
    for step in steps {
      Output.data.line(step.command ?? "# no ethtool line for: \(step.text)")
    }
  }
}

/// `ingest nic show`: the settings as they are, and who wants what of them.
struct NICShow: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show",
    abstract: "Print the settings that matter, and who has set them.")

  @Option(help: "The interface.")
  var ifname: String
  @Flag(name: [.customShort("J"), .long], help: "Print them as JSON.")
  var json = false

  mutating func run() throws {
    let shown = try NICSetup.show(ifname)
    if json {
      Output.data.line(try JSONText.encode(Shown(shown, ifname), pretty: true))
      return
    }
    for setting in shown.observed.values.keys.sorted() where NICShow.matters(setting) {
      guard let value = shown.observed.values[setting] else { continue }
      let was = shown.journal.entries.first { $0.setting == setting }
      let note = was.map { "   (was \(setting.text($0.original)))" } ?? ""
      Output.data.line(Units.right(setting.name, 18) + setting.text(value) + note)
    }
    for (number, table) in shown.observed.contexts.sorted(by: { $0.key < $1.key }) {
      Output.data.line(
        Units.right("RSS context \(number)", 18) + NICSetting.indirection.text(table))
    }
    for rule in shown.observed.rules {
      Output.data.line(Units.right("n-tuple rule \(rule.location)", 18) + rule.summary)
    }
    for holder in shown.journal.holders {
      let who = holder.process.map { "process \($0.identifier)" } ?? "ingest nic apply"
      let queues = holder.wish.queues.map(String.init).joined(separator: ",")
      Output.data.line(Units.right("held by", 18) + "\(who), queues \(queues)")
    }
  }

  /// Of the features only those that receiving depends on.
  private static func matters(_ setting: NICSetting) -> Bool {
    guard case .feature(let name) = setting else { return true }
    return ["rx-ntuple-filter", "rx-gro-hw", "rx-gro", "rx-lro", "rx-hashing"].contains(name)
  }

  private struct Shown: Encodable {
    var schema = Schema.name
    var ifname: String
    var settings: [String: NICSetting.Value]
    var contexts: [String: [UInt32]]
    var rules: [String]
    var journal: NICJournal

    init(_ shown: NICSetup.Shown, _ ifname: String) {
      self.ifname = ifname
      settings = [:]
      for (setting, value) in shown.observed.values { settings[setting.word] = value }
      contexts = [:]
      for (number, table) in shown.observed.contexts { contexts["\(number)"] = table }
      rules = shown.observed.rules.map { "\($0.location): \($0.summary)" }
      journal = shown.journal
    }
  }
}
