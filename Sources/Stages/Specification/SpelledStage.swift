/// `KIND`, `KIND:ARGUMENT` or `KIND:key=value,key,…`, taken apart. Each option is taken once; what
/// nobody took is refused at the end.
struct SpelledStage {
  let flag: String
  let text: String
  let kind: String
  /// `parse`, `checksum` or `sink`.
  private var place: String { String(flag.dropFirst(2)) }
  /// What follows the first colon, nil without one.
  let rest: String?
  private var options: [(key: String, value: String?)] = []
  private var known: [String] = []

  init(flag: String, text: String) {
    self.flag = flag
    self.text = text
    let parts = text[...].parts(at: ":", most: 2)
    kind = String(parts[0])
    rest = parts.count > 1 ? String(parts[1]) : nil
  }

  /// Reads `list` as options; once, before they are taken.
  mutating func readOptions(_ list: some StringProtocol) throws(SpecificationError) {
    for option in Substring(list).parts(at: ",") {
      let parts = option.parts(at: "=", most: 2)
      let key = String(parts[0])
      guard !key.isEmpty else {
        throw refusal("an option is empty", allowed: "key=value, separated by single commas")
      }
      guard !options.contains(where: { $0.key == key }) else {
        throw refusal("\(key) is given twice", allowed: "each option once")
      }
      options.append((key, parts.count > 1 ? String(parts[1]) : nil))
    }
  }

  /// The path that comes before the options; reads those that follow.
  mutating func readPath(
    named name: String = "path", allowed: String? = nil
  ) throws(SpecificationError) -> String {
    let parts = (rest ?? "")[...].parts(at: ",", most: 2)
    guard let path = parts.first, !path.isEmpty else {
      throw refusal("the \(name) is missing", allowed: allowed ?? "\(kind):PATH[,key=value,…]")
    }
    if parts.count > 1 { try readOptions(parts[1]) }
    return String(path)
  }

  /// The value of an option, nil when it was not given.
  mutating func take(_ key: String, allowed: String) throws(SpecificationError) -> String? {
    known.append(key)
    guard let index = options.firstIndex(where: { $0.key == key }) else { return nil }
    let option = options.remove(at: index)
    guard let value = option.value, !value.isEmpty else {
      throw refusal("\(key) needs a value", allowed: "\(key)=\(allowed)")
    }
    return value
  }

  /// `key` or `key=yes` is true, `key=no` is false, nil when it was not given.
  mutating func takeFlag(_ key: String) throws(SpecificationError) -> Bool? {
    if let index = options.firstIndex(where: { $0.key == key && $0.value == nil }) {
      options.remove(at: index)
      return true
    }
    switch try take(key, allowed: "yes|no") {
    case nil: return nil
    case "yes": return true
    case "no": return false
    case let other?:
      throw refusal("\(key)=\(other) is not known", allowed: "\(key)=yes, \(key)=no")
    }
  }

  /// A size in bytes within `range`.
  mutating func takeSize(
    _ key: String, in range: ClosedRange<Int>
  ) throws(SpecificationError) -> Int? {
    let allowed = "\(ByteSize.spelled(range.lowerBound)) to \(ByteSize.spelled(range.upperBound))"
    guard let value = try take(key, allowed: "SIZE") else { return nil }
    guard let size = ByteSize.bytes(value) else {
      throw refusal(
        "\(key)=\(value) is no size",
        allowed: "a whole number of bytes with K, M or G for powers of 1024, \(allowed)")
    }
    guard range.contains(size) else {
      throw refusal("\(key)=\(value) is out of range", allowed: allowed)
    }
    return size
  }

  /// A duration in nanoseconds, more than nothing.
  mutating func takeTime(_ key: String) throws(SpecificationError) -> UInt64? {
    guard let value = try take(key, allowed: "DURATION") else { return nil }
    guard let time = TimeSpan.nanoseconds(value), time > 0 else {
      throw refusal(
        "\(key)=\(value) is no duration",
        allowed: "a whole number above 0 with ms, s, m or h, such as \(key)=10m")
    }
    return time
  }

  /// One of the cases of an enum.
  mutating func takeCase<Value: CaseIterable & RawRepresentable<String>>(
    _ key: String, of type: Value.Type
  ) throws(SpecificationError) -> Value? {
    let names = Value.allCases.map(\.rawValue)
    guard let text = try take(key, allowed: names.joined(separator: "|")) else { return nil }
    guard let value = Value(rawValue: text) else {
      throw refusal(
        "\(key)=\(text) is not known", allowed: names.joined(separator: ", "))
    }
    return value
  }

  /// Refuses options that nobody took.
  func finish() throws(SpecificationError) {
    guard let left = options.first else { return }
    throw refusal(
      "\(kind) has no option \(left.key)",
      allowed: known.isEmpty ? "no options" : known.joined(separator: ", "))
  }

  /// The error for this stage.
  func refusal(_ problem: String, allowed: String) -> SpecificationError {
    SpecificationError(
      flag: flag, text: text, problem: problem, allowed: allowed,
      example: StageHelp.example(place: place, kind: kind))
  }

  /// The error for a kind that is none.
  func unknownKind() -> SpecificationError {
    let kinds = StageHelp.all.filter { $0.place == place }.map(\.kind)
    return refusal(
      kind.isEmpty ? "the kind is missing" : "there is no kind \(kind)",
      allowed: kinds.joined(separator: ", "))
  }
}

extension Substring {
  /// What stands between separators. They are bytes: written next to some marks of other scripts, a
  /// comma is part of a longer character, and separates all the same.
  func parts(at separator: Unicode.Scalar, most: Int = .max) -> [Substring] {
    utf8.split(
      separator: UInt8(ascii: separator), maxSplits: most - 1, omittingEmptySubsequences: false
    ).map { Substring($0) }
  }
}
