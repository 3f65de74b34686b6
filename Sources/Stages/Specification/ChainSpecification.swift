import Wire

/// The chain as it is spelled: what `--parse`, `--checksum` and `--sink` ask for together.
public struct ChainSpecification: Equatable, Sendable, CustomStringConvertible {
  public let parse: ParseSpecification
  public let checksum: ChecksumSpecification
  public let sink: SinkSpecification

  /// Reads the three values and refuses what makes no sense together.
  public init(
    parse: String, checksum: String, sink: String
  ) throws(SpecificationError) {
    self.parse = try ParseSpecification(parse)
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

  /// Calls the visitor with the framer and checksum asked for, each as the type it is: chains are
  /// put together at compile time, so this is where values become types.
  public func accept<Visitor: ChainVisitor & ~Copyable>(
    _ visitor: consuming Visitor
  ) throws(Visitor.Failure) -> Visitor.Result {
    switch parse {
    case .raw: return try accept(visitor, RawFramer())
    case .lines(let framer): return try accept(visitor, framer)
    case .length(let framer): return try accept(visitor, framer)
    case .fixed(let framer): return try accept(visitor, framer)
    case .wire(let framer):
      if case .verify(let kind) = checksum {
        return try visitor.visit(framer) { VerifyChecksum(kind, maxConnections: $0) }
      }
      return try accept(visitor, framer)
    }
  }

  private func accept<Visitor: ChainVisitor & ~Copyable, F: Framer>(
    _ visitor: consuming Visitor, _ framer: F
  ) throws(Visitor.Failure) -> Visitor.Result {
    switch checksum {
    case .none: return try visitor.visit(framer) { _ in NoChecksum() }
    case .compute(let kind, let expected):
      return try visitor.visit(framer) {
        ComputeChecksum(kind, expected: expected, maxConnections: $0)
      }
    case .verify: fatalError("invariant violated: init refuses to verify without wire records")
    }
  }
}

/// Somebody who needs the parts of a chain as types; see ``ChainSpecification/accept(_:)``.
public protocol ChainVisitor: ~Copyable {
  associatedtype Result
  associatedtype Failure: Error

  /// `checksum` makes one for that many connections; each thread needs its own.
  consuming func visit<F: Framer, C: Checksum & ~Copyable & SendableMetatype>(
    _ framer: F, checksum: @escaping @Sendable (_ maxConnections: Int) -> C
  ) throws(Failure) -> Result
}
