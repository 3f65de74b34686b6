/// Where each key of a JSON5 text stands, so that an error can name the line.
///
/// The decoder tells neither the lines of keys nor the place of a mistake, and it traps on some
/// mistakes. So the walk comes first. It takes what <https://spec.json5.org> does, but no blanks
/// beyond ASCII; what a bare key consists of is left to the decoder.
package struct KeyLines {
  /// The line (from 1) of each key path: `buffer`, `receive.cpus[1]`.
  package private(set) var lines: [String: Int] = [:]
  /// Paths that stand more than once in one object, with the line of the repetition.
  package private(set) var repeated: [(path: String, line: Int)] = []

  /// The first thing that is wrong. Nothing behind it has been looked at with care.
  package private(set) var mistake: (line: Int, text: String)?

  /// Where the text is nested as no file of settings is. The walk ends there: it takes stack for
  /// each level, and memory for the path of each value.
  package private(set) var limit: (line: Int, text: String)?

  /// Objects and lists inside one another, and bytes of a path.
  package static let deepest = 64
  package static let longestPath = 256

  private var text: [UInt8]
  private var place = 0
  private var line = 1
  private var depth = 0

  package init(_ text: String) {
    self.text = Array(text.utf8)
    // Some editors mark UTF-8 so; the decoder takes it.
    if self.text.starts(with: "\u{feff}".utf8) { place = 3 }
    value("")
    if byte != nil { report("expected the end of the file after the last }") }
    self.text = []
  }

  private var byte: UInt8? { place < text.count ? text[place] : nil }

  private mutating func advance() {
    guard let byte else { return }
    if byte == UInt8(ascii: "\n") { line += 1 }
    place += 1
  }

  private mutating func report(_ text: String) {
    if mistake == nil { mistake = (line, text) }
  }

  private mutating func skipBlank() {
    while let byte {
      switch byte {
      case UInt8(ascii: " "), 0x09...0x0d:
        advance()
      case UInt8(ascii: "/"):
        skipComment()
      default:
        return
      }
    }
  }

  private mutating func skipComment() {
    advance()
    if byte == UInt8(ascii: "/") {
      while let byte, byte != UInt8(ascii: "\n"), byte != UInt8(ascii: "\r") { advance() }
      return
    }
    if byte != UInt8(ascii: "*") { report("a / that starts no comment") }
    advance()
    let at = line
    var last: UInt8 = 0
    while let byte, !(last == UInt8(ascii: "*") && byte == UInt8(ascii: "/")) {
      last = byte
      advance()
    }
    if byte == nil && mistake == nil { mistake = (at, "a comment that is not closed") }
    advance()
  }

  private mutating func value(_ path: String) {
    skipBlank()
    guard isWithin(path) else { return place = text.count }
    depth += 1
    defer { depth -= 1 }
    if lines[path] == nil { lines[path] = line }
    switch byte {
    case UInt8(ascii: "{"): object(path)
    case UInt8(ascii: "["): array(path)
    case UInt8(ascii: "\""), UInt8(ascii: "'"): _ = quoted()
    default: plainValue()
    }
    skipBlank()
  }

  private mutating func isWithin(_ path: String) -> Bool {
    if limit != nil { return false }
    if depth > KeyLines.deepest {
      limit = (line, "more than \(KeyLines.deepest) objects and lists inside one another")
    } else if path.utf8.count > KeyLines.longestPath {
      limit = (line, "a value under keys of more than \(KeyLines.longestPath) bytes")
    }
    return limit == nil
  }

  private mutating func plainValue() {
    let at = line
    let word = bare()
    if ["true", "false", "null"].contains(word) || JSON5Number.isOne(word) || mistake != nil {
      return
    }
    mistake = (at, "expected a value, found \(word.isEmpty ? "none" : word)")
  }

  /// Between members: a comma, or the end of what they are members of.
  private mutating func separator(_ end: UInt8) -> Bool {
    skipBlank()
    if byte == UInt8(ascii: ",") {
      advance()
      skipBlank()
      return true
    }
    if byte != end { report("expected , or \(Character(Unicode.Scalar(end)))") }
    return byte == end
  }

  private mutating func object(_ path: String) {
    advance()
    skipBlank()
    while let first = byte, first != UInt8(ascii: "}") {
      let isQuoted = first == UInt8(ascii: "\"") || first == UInt8(ascii: "'")
      let at = line
      let key = isQuoted ? quoted() : bare()
      let member = path.isEmpty ? key : "\(path).\(key)"
      if lines[member] != nil { repeated.append((member, at)) }
      lines[member] = at
      skipBlank()
      guard byte == UInt8(ascii: ":") else { return report("expected : after the key \(key)") }
      advance()
      value(member)
      if !separator(UInt8(ascii: "}")) { return }
    }
    if byte == nil { report("expected } before the end of the file") }
    advance()
  }

  private mutating func array(_ path: String) {
    advance()
    skipBlank()
    var index = 0
    while let byte, byte != UInt8(ascii: "]") {
      value("\(path)[\(index)]")
      index += 1
      if !separator(UInt8(ascii: "]")) { return }
    }
    if byte == nil { report("expected ] before the end of the file") }
    advance()
  }

  private mutating func quoted() -> String {
    let quote = byte
    advance()
    let start = place
    let at = line
    while let byte, byte != quote {
      advance()
      if byte == UInt8(ascii: "\\") { escape() }
    }
    let end = place
    if byte == nil && mistake == nil { mistake = (at, "a text that is not closed") }
    advance()
    return String(decoding: text[start..<end], as: UTF8.self)
  }

  /// What follows a backslash: digits after `u` and `x`, else anything.
  private mutating func escape() {
    let digits = byte == UInt8(ascii: "u") ? 4 : byte == UInt8(ascii: "x") ? 2 : 0
    advance()
    for _ in 0..<digits {
      guard let byte, JSON5Number.isHexDigit(byte) else {
        return report("expected \(digits) hexadecimal digits after the \\ in a text")
      }
      advance()
    }
  }

  private mutating func bare() -> String {
    let start = place
    while let byte, !" \t\r\n\u{b}\u{c},:]}/".utf8.contains(byte) { advance() }
    // Something that belongs nowhere: step over it, so that the walk ends.
    if place == start { advance() }
    return String(decoding: text[start..<place], as: UTF8.self)
  }
}
