/// Where each key of a JSON5 text stands, so that an error can name the line.
///
/// The text has been decoded before; this only walks over it, and stops at what it cannot follow.
package struct KeyLines {
  /// The line (from 1) of each key path: `buffer`, `receive.cpus[1]`.
  package private(set) var lines: [String: Int] = [:]
  /// Paths that stand more than once in one object, with the line of the repetition.
  package private(set) var repeated: [(path: String, line: Int)] = []

  private var text: [UInt8]
  private var place = 0
  private var line = 1

  package init(_ text: String) {
    self.text = Array(text.utf8)
    value("")
    self.text = []
  }

  private var byte: UInt8? { place < text.count ? text[place] : nil }

  private mutating func advance() {
    if byte == UInt8(ascii: "\n") { line += 1 }
    place += 1
  }

  private mutating func skipBlank() {
    while let byte {
      switch byte {
      case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"), UInt8(ascii: "\n"):
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
      while let byte, byte != UInt8(ascii: "\n") { advance() }
      return
    }
    advance()
    var last: UInt8 = 0
    while let byte, !(last == UInt8(ascii: "*") && byte == UInt8(ascii: "/")) {
      last = byte
      advance()
    }
    advance()
  }

  private mutating func value(_ path: String) {
    skipBlank()
    if lines[path] == nil { lines[path] = line }
    switch byte {
    case UInt8(ascii: "{"): object(path)
    case UInt8(ascii: "["): array(path)
    case UInt8(ascii: "\""), UInt8(ascii: "'"): _ = quoted()
    default: _ = bare()
    }
    skipBlank()
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
      guard byte == UInt8(ascii: ":") else { return }
      advance()
      value(member)
      if byte == UInt8(ascii: ",") { advance() }
      skipBlank()
    }
    advance()
  }

  private mutating func array(_ path: String) {
    advance()
    skipBlank()
    var index = 0
    while let byte, byte != UInt8(ascii: "]") {
      value("\(path)[\(index)]")
      index += 1
      if self.byte == UInt8(ascii: ",") { advance() }
      skipBlank()
    }
    advance()
  }

  private mutating func quoted() -> String {
    let quote = byte
    advance()
    let start = place
    while let byte, byte != quote {
      if byte == UInt8(ascii: "\\") { advance() }
      advance()
    }
    let end = min(place, text.count)
    advance()
    return String(decoding: text[min(start, end)..<end], as: UTF8.self)
  }

  private mutating func bare() -> String {
    let start = place
    while let byte, !" \t\r\n,:]}/".utf8.contains(byte) { advance() }
    // Something that belongs nowhere: step over it, so that the walk ends.
    if place == start { advance() }
    return String(decoding: text[start..<min(place, text.count)], as: UTF8.self)
  }
}
