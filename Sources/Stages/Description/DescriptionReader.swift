import JSON5

/// An object of a description, taken apart key by key. What nobody took is refused at the end;
/// every error names file, line and key, what is allowed, and a description that works.
struct DescriptionReader {
  /// What was given to `--parse`.
  let text: String
  private let file: JSON5File
  private let values: [String: JSONValue]
  /// The path of this object in the file, `length.` or nothing.
  private let prefix: String
  private var known: [String] = []

  init(_ file: JSON5File, text: String) {
    self.init(file, text, file.values, prefix: "")
  }

  private init(
    _ file: JSON5File, _ text: String, _ values: [String: JSONValue], prefix: String
  ) {
    self.file = file
    self.text = text
    self.values = values
    self.prefix = prefix
  }

  private mutating func take(_ key: String) -> JSONValue? {
    known.append(key)
    return values[key]
  }

  /// An object inside this one, nil when it is not there.
  mutating func object(_ key: String) throws(SpecificationError) -> DescriptionReader? {
    guard let value = take(key) else { return nil }
    guard case .object(let inner) = value else {
      throw refusal(key, "found \(value.shown)", allowed: "an object { … }")
    }
    return DescriptionReader(file, text, inner, prefix: prefix + key + ".")
  }

  /// A number of bytes: whole, or a text such as "64K". Nil when it is not there.
  mutating func size(
    _ key: String, in range: ClosedRange<Int>
  ) throws(SpecificationError) -> Int? {
    guard let value = take(key) else { return nil }
    let found: Int?
    switch value {
    case .whole(let number): found = Int(exactly: number)
    case .string(let text): found = ByteSize.bytes(text)
    default: found = nil
    }
    guard let found, range.contains(found) else {
      let ends = [range.lowerBound, range.upperBound].map(ByteSize.spelled)
      throw refusal(
        key, "found \(value.shown)",
        allowed: "a number of bytes from \(ends[0]) to \(ends[1]), such as \(ends[0]) or \"64K\"")
    }
    return found
  }

  /// One of a few numbers, or of a few words.
  mutating func number(
    _ key: String, among choices: [Int]
  ) throws(SpecificationError) -> Int? {
    guard let value = take(key) else { return nil }
    guard case .whole(let number) = value, let found = Int(exactly: number),
      choices.contains(found)
    else {
      throw refusal(
        key, "found \(value.shown)", allowed: choices.map(String.init).joined(separator: ", "))
    }
    return found
  }

  mutating func word(
    _ key: String, among choices: [String]
  ) throws(SpecificationError) -> String? {
    guard let value = take(key) else { return nil }
    guard case .string(let word) = value, choices.contains(word) else {
      throw refusal(
        key, "found \(value.shown)",
        allowed: choices.map { "\"\($0)\"" }.joined(separator: ", "))
    }
    return word
  }

  /// A whole number that may be negative.
  mutating func difference(
    _ key: String, upTo limit: Int
  ) throws(SpecificationError) -> Int? {
    guard let value = take(key) else { return nil }
    var found: Int?
    switch value {
    case .whole(let number): found = Int(exactly: number)
    case .number(let number): found = Int(exactly: number)
    default: break
    }
    guard let found, (-limit...limit).contains(found) else {
      throw refusal(
        key, "found \(value.shown)", allowed: "a whole number from -\(limit) to \(limit)")
    }
    return found
  }

  /// Bytes as pairs of hexadecimal digits, spaces allowed: "4b 41 46".
  mutating func bytes(
    _ key: String, upTo limit: Int
  ) throws(SpecificationError) -> [UInt8]? {
    guard let value = take(key) else { return nil }
    if case .string(let text) = value, let found = DescriptionReader.bytes(text),
      1...limit ~= found.count
    {
      return found
    }
    throw refusal(
      key, "found \(value.shown)",
      allowed: "1 to \(limit) bytes as pairs of hexadecimal digits, such as \"4b 41\"")
  }

  static func bytes(_ text: String) -> [UInt8]? {
    var result: [UInt8] = []
    var high: UInt8?
    for byte in text.utf8 {
      if byte == UInt8(ascii: " "), high == nil { continue }
      guard byte < 128, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
        return nil
      }
      if let half = high {
        result.append(half << 4 | UInt8(digit))
        high = nil
      } else {
        high = UInt8(digit)
      }
    }
    return high == nil ? result : nil
  }

  /// Refuses keys that nobody took.
  func finish() throws(SpecificationError) {
    let strange = values.keys.filter { !known.contains($0) }
    let first = strange.min {
      let (one, other) = (file.line(prefix + $0), file.line(prefix + $1))
      return one == other ? $0 < $1 : one < other
    }
    guard let key = first else { return }
    let hint = nearest(to: key, among: known).map { "; did you mean \($0)?" } ?? ""
    throw refusal(key, "unknown key\(hint)", allowed: known.joined(separator: ", "))
  }

  /// The error for a key that must be there.
  func missing(_ key: String, allowed: String) -> SpecificationError {
    refusal(key, "is missing", allowed: allowed)
  }

  func refusal(_ key: String, _ problem: String, allowed: String) -> SpecificationError {
    let path = prefix + key
    // A key that is missing is missed in its object.
    let line =
      values[key] == nil ? file.line(String(prefix.dropLast())) : file.line(path)
    return SpecificationError(
      flag: "--parse", text: text, problem: "\(file.name):\(line): \(path): \(problem)",
      allowed: allowed, example: StageHelp.example(place: "parse", kind: "described"))
  }
}
