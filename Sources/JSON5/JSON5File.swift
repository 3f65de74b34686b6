import FoundationEssentials
import Glibc
import Trust

/// A JSON5 file that holds one object: its values, and the lines they stand in.
package struct JSON5File {
  /// As errors call it.
  package let name: String
  package let values: [String: JSONValue]
  package let places: KeyLines

  /// Reads and parses a file that nobody else can change; `-` is standard input, whoever wrote it.
  /// The kernel calls are `open`, `read` and those of ``TrustedFile``.
  package init(_ path: String) throws(JSON5Error) {
    try self.init(
      text: try JSON5File.text(of: path), name: path == "-" ? "standard input" : path)
  }

  package init(text: String, name: String) throws(JSON5Error) {
    let places = KeyLines(text)
    let root = try JSONValue(json5: text, walked: places, name: name)
    guard case .object(let values) = root else {
      throw JSON5Error("\(name):1: expected an object { … }, found \(root.shown)")
    }
    if let again = places.repeated.first {
      throw JSON5Error("\(name):\(again.line): \(again.path): given twice in one object")
    }
    self.name = name
    self.values = values
    self.places = places
  }

  /// The line (from 1) of a key path such as `length.at`.
  package func line(_ path: String) -> Int { places.lines[path] ?? 1 }

  /// What is read is what was checked: the file is opened once.
  private static func check(_ descriptor: Int32, _ path: String) throws(JSON5Error) {
    do throws(TrustError) {
      _ = try TrustedFile.check(descriptor, given: path)
    } catch {
      throw JSON5Error(
        error.what,
        remedy: "\(error.remedy); a configuration that others can change is not followed, except "
          + "on standard input (`-`)", isUntrusted: true)
    }
  }

  /// The whole text of a file, at most 1 MiB; `-` is standard input.
  package static func text(of path: String) throws(JSON5Error) -> String {
    let limit = 1 << 20
    let descriptor = path == "-" ? 0 : unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw JSON5Error(
        "cannot open \(path): \(errorText(errno))", remedy: "check the path: ls -l \(path)")
    }
    defer { if descriptor > 0 { close(descriptor) } }
    if path != "-" { try check(descriptor, path) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while bytes.count <= limit {
      let got = unsafe chunk.withUnsafeMutableBytes { buffer in
        unsafe read(descriptor, buffer.baseAddress, buffer.count)
      }
      if got < 0 && errno == EINTR { continue }
      guard got >= 0 else {
        throw JSON5Error("cannot read \(path): \(errorText(errno))")
      }
      if got == 0 { return String(decoding: bytes, as: UTF8.self) }
      bytes += chunk[..<got]
    }
    throw JSON5Error("\(path): larger than 1 MiB: not a configuration file")
  }
}

extension JSONValue {
  /// Decodes JSON5: comments, trailing commas, unquoted keys, hexadecimal numbers.
  package init(json5 text: String) throws(JSON5Error) {
    try self.init(json5: text, walked: KeyLines(text), name: "JSON5")
  }

  /// The decoder (Swift 6.3) traps on some of what is no JSON5, `0x0x1` for one, so that it gets
  /// nothing that the walk found a mistake in.
  fileprivate init(json5 text: String, walked: KeyLines, name: String) throws(JSON5Error) {
    if let limit = walked.limit ?? walked.mistake {
      throw JSON5Error("\(name):\(limit.line): \(limit.text)", isMalformed: true)
    }
    let decoder = JSONDecoder()
    decoder.allowsJSON5 = true
    // It reads a number up to the first byte that is none, also where the text ends with it and
    // that byte is not the text's. It traps where it finds more digits there.
    let data = Data(text.utf8) + [UInt8(ascii: "\n")]
    guard let value = try? decoder.decode(JSONValue.self, from: data) else {
      throw JSON5Error("\(name): some value is malformed", isMalformed: true)
    }
    self = value
  }
}

/// A file that cannot be read or is not JSON5.
package struct JSON5Error: Error, Equatable, Sendable {
  /// What is wrong and where, `FILE:LINE: …` where a line is known.
  package let what: String
  package let remedy: String?
  /// The text is no JSON5 at all.
  package let isMalformed: Bool
  /// Somebody else could have written it.
  package let isUntrusted: Bool

  init(
    _ what: String, remedy: String? = nil, isMalformed: Bool = false, isUntrusted: Bool = false
  ) {
    self.what = what
    self.remedy = remedy
    self.isMalformed = isMalformed
    self.isUntrusted = isUntrusted
  }
}

/// strerror(3)'s words.
private func errorText(_ code: Int32) -> String {
  unsafe String(cString: strerror(code))
}
