import Glibc
package import Ingest

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
    self.name = name
    places = KeyLines(text)
    guard let root = try? JSONText.decode(json5: text) else {
      let place = places.mistake.map { ":\($0.line): \($0.text)" } ?? ": some value is malformed"
      throw IngestError(
        .usage, "\(name)\(place)",
        remedy: "the file is not JSON5; configs/ has examples, and --show-config prints one")
    }
    guard case .object(let values) = root else {
      throw IngestError(.usage, "\(name):1: expected an object { … }, found \(root.shown)")
    }
    self.values = values
    if let again = places.repeated.first {
      throw IngestError(
        .usage, "\(name):\(again.line): \(again.path): given twice in one object")
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

/// The known word with the fewest changes, if they are few enough to be a slip.
package func nearest(to word: String, among known: [String]) -> String? {
  let wanted = Array(word.lowercased().utf8)
  var best: (word: String, distance: Int)?
  for candidate in known {
    let distance = changes(from: wanted, to: Array(candidate.lowercased().utf8))
    if distance < best?.distance ?? .max { best = (candidate, distance) }
  }
  guard let best, best.distance <= max(2, wanted.count / 3) else { return nil }
  return best.word
}

/// Levenshtein's distance.
private func changes(from: [UInt8], to: [UInt8]) -> Int {
  var row = Array(0...to.count)
  for (index, byte) in from.enumerated() {
    var diagonal = row[0]
    row[0] = index + 1
    for column in to.indices {
      let kept = diagonal + (byte == to[column] ? 0 : 1)
      diagonal = row[column + 1]
      row[column + 1] = min(kept, min(row[column], row[column + 1]) + 1)
    }
  }
  return row[to.count]
}

/// The whole text of a file of configuration; refuses what is larger than any could be.
package func readText(_ path: String) throws(IngestError) -> String {
  let limit = 1 << 20
  guard !path.isEmpty else { throw IngestError(.usage, "--config: expected a path, found \"\"") }
  let descriptor = path == "-" ? 0 : unsafe open(path, O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else {
    throw IngestError(
      .usage, "cannot open \(path): \(errorText(errno))",
      remedy: "check the path: ls -l \(path)")
  }
  defer { if descriptor > 0 { close(descriptor) } }
  var bytes: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 64 << 10)
  while bytes.count <= limit {
    let got = unsafe chunk.withUnsafeMutableBytes { buffer in
      unsafe read(descriptor, buffer.baseAddress, buffer.count)
    }
    if got < 0 && errno == EINTR { continue }
    guard got >= 0 else {
      throw IngestError(.usage, "cannot read \(path): \(errorText(errno))")
    }
    if got == 0 { return String(decoding: bytes, as: UTF8.self) }
    bytes += chunk[..<got]
  }
  throw IngestError(.usage, "\(path): larger than 1 MiB: not a configuration file")
}

/// strerror(3)'s words.
package func errorText(_ code: Int32) -> String {
  unsafe String(cString: strerror(code))
}
