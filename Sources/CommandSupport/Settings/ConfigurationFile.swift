import Glibc
package import Ingest
import JSON5

/// A JSON5 configuration file: its values, and where they stand.
package struct ConfigurationFile {
  package let name: String
  private let values: [String: JSONValue]
  private let places: KeyLines

  /// Reads and parses a file; `-` is standard input.
  ///
  /// The kernel calls are `open` and `read`.
  package init(_ path: String) throws(IngestError) {
    let text = try readText(path)
    try self.init(text: text, name: path == "-" ? "standard input" : path)
  }

  package init(text: String, name: String) throws(IngestError) {
    do throws(JSON5Error) {
      let file = try JSON5File(text: text, name: name)
      self.name = name
      values = file.values
      places = file.places
    } catch {
      let hint = "the file is not JSON5; configs/ has examples, and --show-config prints one"
      throw IngestError(.usage, error.what, remedy: error.isMalformed ? hint : error.remedy)
    }
  }

  /// Refuses a file written for another command, and keys that this one does not have.
  package func check(command: String, keys: [String]) throws(IngestError) {
    if let value = values["command"], value != .string(command) {
      throw failure(
        "command", "this file is for \(value.shown), not for \"\(command)\"", remedy: nil)
    }
    try refuseUnknown(values, keys + ["command"], prefix: "")
  }

  /// Sets what the file gives, at its top level or inside the object named `section`.
  package func apply<Root>(
    _ settings: [Setting<Root>], to root: inout Root, section: String? = nil
  ) throws(IngestError) {
    var object = values
    var prefix = ""
    if let section {
      guard let value = values[section] else { return }
      guard case .object(let inner) = value else {
        throw failure(section, "expected an object { … }, found \(value.shown)", remedy: nil)
      }
      object = inner
      prefix = section + "."
      try refuseUnknown(inner, settings.map(\.key), prefix: prefix)
    }
    for setting in settings {
      guard let value = object[setting.key] else { continue }
      guard setting.write(&root, value) else {
        throw failure(
          prefix + setting.key, setting.refusal(value), remedy: nil)
      }
    }
  }

  private func refuseUnknown(
    _ object: [String: JSONValue], _ known: [String], prefix: String
  ) throws(IngestError) {
    let strange = object.keys.filter { !known.contains($0) }
    // The first in the file, so that errors come in reading order.
    guard let key = strange.min(by: { line(prefix + $0) < line(prefix + $1) }) else { return }
    let hint =
      nearest(to: key, among: known).map { "did you mean \"\($0)\"?" }
      ?? "known keys: " + known.sorted().joined(separator: ", ")
    throw failure(prefix + key, "unknown key", remedy: hint)
  }

  private func line(_ path: String) -> Int { places.lines[path] ?? 1 }

  private func failure(_ path: String, _ what: String, remedy: String?) -> IngestError {
    IngestError(.usage, "\(name):\(line(path)): \(path): \(what)", remedy: remedy)
  }
}

/// The whole text of a file of configuration; refuses what is larger than any could be.
package func readText(_ path: String) throws(IngestError) -> String {
  guard !path.isEmpty else { throw IngestError(.usage, "--config: expected a path, found \"\"") }
  do throws(JSON5Error) {
    return try JSON5File.text(of: path)
  } catch {
    throw IngestError(.usage, error.what, remedy: error.remedy)
  }
}

/// strerror(3)'s words.
package func errorText(_ code: Int32) -> String {
  unsafe String(cString: strerror(code))
}
