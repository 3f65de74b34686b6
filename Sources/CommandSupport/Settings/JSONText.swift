import FoundationEssentials
package import JSON5

/// JSON text as the commands print it.
package enum JSONText {
  /// One line (for streams), or indented for people.
  package static func encode(_ value: some Encodable, pretty: Bool) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting =
      pretty
      ? [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      : [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return String(decoding: try encoder.encode(value), as: UTF8.self)
  }

  /// Decodes JSON5: comments, trailing commas, unquoted keys, hexadecimal numbers.
  package static func decode(json5 text: String) throws(JSON5Error) -> JSONValue {
    try JSONValue(json5: text)
  }
}
