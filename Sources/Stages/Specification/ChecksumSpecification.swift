public import Wire

/// What `--checksum` asks for.
public enum ChecksumSpecification: Equatable, Sendable, CustomStringConvertible {
  case none
  /// A digest of each connection's payload; `expected` is what it must be at the end.
  case compute(ChecksumKind, expected: UInt64?)
  /// Each record against what its sender said.
  case verify(ChecksumKind)

  /// Reads `KIND[:verify|:expect=HEX]`.
  public init(_ text: String) throws(SpecificationError) {
    var spelled = SpelledStage(flag: "--checksum", text: text)
    if let rest = spelled.rest { try spelled.readOptions(rest) }
    guard let kind = ChecksumKind.allCases.first(where: { $0.name == spelled.kind }) else {
      throw spelled.unknownKind()
    }
    guard kind != .none else {
      try spelled.finish()
      self = .none
      return
    }
    let verify = try spelled.takeFlag("verify") ?? false
    let expected = try ChecksumSpecification.digest(kind, &spelled)
    try spelled.finish()
    guard verify else {
      self = .compute(kind, expected: expected)
      return
    }
    guard expected == nil else {
      throw spelled.refusal(
        "verify and expect ask for different things",
        allowed: "verify for records that carry their digest, expect=HEX for whole connections")
    }
    self = .verify(kind)
  }

  private static func digest(
    _ kind: ChecksumKind, _ spelled: inout SpelledStage
  ) throws(SpecificationError) -> UInt64? {
    guard var text = try spelled.take("expect", allowed: "HEX") else { return nil }
    let given = text
    if text.hasPrefix("0x") || text.hasPrefix("0X") { text.removeFirst(2) }
    guard text.count <= kind.digits, text.utf8.allSatisfy(isHexadecimal),
      let value = UInt64(text, radix: 16)
    else {
      throw spelled.refusal(
        "expect=\(given) is no \(kind.name) digest",
        allowed: "up to \(kind.digits) hexadecimal digits")
    }
    return value
  }

  /// The canonical spelling.
  public var description: String {
    switch self {
    case .none: return "none"
    case .compute(let kind, let expected?):
      let digits = String(expected, radix: 16)
      return "\(kind.name):expect="
        + String(repeating: "0", count: kind.digits - digits.count) + digits
    case .compute(let kind, nil): return kind.name
    case .verify(let kind): return "\(kind.name):verify"
    }
  }
}

/// Signs and other alphabets' digits, which `UInt64(_:radix:)` may take, are no digits here.
private func isHexadecimal(_ byte: UInt8) -> Bool {
  switch byte {
  case 48...57, 65...70, 97...102: return true
  default: return false
  }
}
