import Wire

/// The chain as it is spelled: what `--parse`, `--checksum` and `--sink` ask for together.
public struct ChainSpecification: Equatable, Sendable, CustomStringConvertible {
  public let parse: ParseSpecification
  public let checksum: ChecksumSpecification
  public let sink: SinkSpecification

  /// Reads the three values and refuses what makes no sense together. `recordBound` is the most
  /// payload bytes of a record, whatever the framing; nil leaves that to `parse`.
  public init(
    parse: String, checksum: String, sink: String, recordBound: Int? = nil
  ) throws(SpecificationError) {
    self.parse = try ParseSpecification(parse, bound: recordBound)
    self.checksum = try ChecksumSpecification(checksum)
    self.sink = try SinkSpecification(sink)
    if case .verify(let kind) = self.checksum {
      guard case .wire = self.parse else {
        throw SpecificationError(
          flag: "--checksum", text: checksum,
          problem: "records of --parse \(parse) carry no digest to verify",
          allowed: "--parse wire, or \(kind.name) or \(kind.name):expect=HEX without verify",
          example: "\(checksum) --parse wire")
      }
    }
  }

  /// The canonical spelling, which gives the same chain again.
  public var description: String {
    "--parse \(parse) --checksum \(checksum) --sink \(sink)"
  }
}
