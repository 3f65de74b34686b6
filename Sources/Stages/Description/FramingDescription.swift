import JSON5

/// A framing that a JSON5 file describes: what `--parse described:FILE` asks for.
///
/// Two forms: `length`, a header of a fixed size with the payload's length in it
/// (``HeaderFramer``), and `chunked`, HTTP/1.1's chunks (``ChunkedFramer``).
public struct FramingDescription: Equatable, Sendable {
  /// The file as it was named, and the bound that was given beside it.
  public let path: String
  public let max: Int?
  public let form: Form

  public enum Form: Equatable, Sendable {
    case length(HeaderFramer)
    case chunked(ChunkedFramer)
  }

  /// Reads a file: open(2) and read(2), at most 1 MiB.
  ///
  /// - Parameters:
  ///   - text: what was given to `--parse`, for errors.
  ///   - max: a bound to take instead of the file's.
  ///   - bound: one that neither goes beyond, and that holds where neither is given.
  public init(
    path: String, text: String, max: Int? = nil, bound: Int? = nil
  ) throws(SpecificationError) {
    let file: JSON5File
    do throws(JSON5Error) {
      file = try JSON5File(path)
    } catch {
      throw SpecificationError(
        flag: "--parse", text: text, problem: error.what,
        allowed: error.isUntrusted
          ? "a file that nobody else can change (\(error.remedy ?? ""))"
          : "a JSON5 file that can be read (`ls -l \(path)`)",
        example: StageHelp.example(place: "parse", kind: "described"))
    }
    try self.init(file, path: path, text: text, max: max, bound: bound)
  }

  /// Takes a file that was read.
  init(
    _ file: JSON5File, path: String, text: String, max: Int? = nil, bound: Int? = nil
  ) throws(SpecificationError) {
    var reader = DescriptionReader(file, text: text)
    let forms = ["length", "chunked"]
    switch try reader.word("form", among: forms) {
    case "length"?: form = .length(try FramingDescription.header(&reader, max, bound))
    case "chunked"?: form = .chunked(try FramingDescription.chunks(&reader, max, bound))
    default: throw reader.missing("form", allowed: "form: \"length\" or form: \"chunked\"")
    }
    try reader.finish()
    self.path = path
    self.max = max
  }

  /// The most bytes of a record, framing included.
  public var recordBound: Int {
    switch form {
    case .length(let framer): framer.recordBound
    case .chunked(let framer): framer.recordBound
    }
  }

  /// The canonical spelling.
  public var spelling: String {
    "described:\(path)" + (max.map { ",max=\(ByteSize.spelled($0))" } ?? "")
  }
}

// MARK: - The two forms

extension FramingDescription {
  private static let bounds = 1...ParseSpecification.largestBound
  private static let heads = 2...1 << 30

  private static func header(
    _ reader: inout DescriptionReader, _ max: Int?, _ bound: Int?
  ) throws(SpecificationError) -> HeaderFramer {
    let largest = HeaderFramer.largestSize
    guard let size = try reader.size("header", in: 1...largest) else {
      throw reader.missing("header", allowed: "header: BYTES, the size of a record's header")
    }
    let trailer = try reader.size("trailer", in: 0...largest) ?? 0
    guard var inner = try reader.object("length") else {
      throw reader.missing("length", allowed: "length: { at: 0, bytes: 4 }")
    }
    let length = try field(&inner, header: size, trailer: trailer)
    try inner.finish()
    var magic = HeaderFramer.Magic.none
    if var inner = try reader.object("magic") {
      magic = try fixed(&inner, header: size)
      try inner.finish()
    }
    let (headMax, _) = try head(&reader, ["connection"])
    let described = try reader.size("max", in: bounds)
    return HeaderFramer(
      size: size, length: length, magic: magic, trailer: trailer,
      max: ParseSpecification.most(max ?? described, LengthFramer.defaultMax, bound),
      headMax: headMax)
  }

  private static func field(
    _ reader: inout DescriptionReader, header: Int, trailer: Int
  ) throws(SpecificationError) -> HeaderFramer.Field {
    guard let bytes = try reader.number("bytes", among: [1, 2, 3, 4, 8]) else {
      throw reader.missing("bytes", allowed: "bytes: 1, 2, 3, 4 or 8")
    }
    let at = try reader.size("at", in: 0...HeaderFramer.largestSize) ?? 0
    guard at + bytes <= header else {
      throw reader.refusal(
        "at", "\(bytes) bytes at \(at) do not lie in a header of \(header)",
        allowed: "at + bytes up to header")
    }
    let endian = try reader.word("endian", among: LengthFramer.Endian.allCases.map(\.rawValue))
    let counts = try reader.word("counts", among: ["payload", "rest", "all"]) ?? "payload"
    let plus = try reader.difference("plus", upTo: 1 << 20) ?? 0
    // What the number counts beside the payload comes off.
    let framing =
      counts == "payload" ? 0 : counts == "all" ? header + trailer : header - at - bytes + trailer
    return HeaderFramer.Field(
      at: at, bytes: bytes, endian: endian == "little" ? .little : .big, plus: plus - framing)
  }

  private static func fixed(
    _ reader: inout DescriptionReader, header: Int
  ) throws(SpecificationError) -> HeaderFramer.Magic {
    guard let bytes = try reader.bytes("bytes", upTo: 8) else {
      throw reader.missing("bytes", allowed: "bytes: \"4b 41\", pairs of hexadecimal digits")
    }
    let at = try reader.size("at", in: 0...HeaderFramer.largestSize) ?? 0
    guard at + bytes.count <= header else {
      throw reader.refusal(
        "at", "\(bytes.count) bytes at \(at) do not lie in a header of \(header)",
        allowed: "at and the number of bytes together up to header")
    }
    return HeaderFramer.Magic(at: at, bytes)
  }

  private static func chunks(
    _ reader: inout DescriptionReader, _ max: Int?, _ bound: Int?
  ) throws(SpecificationError) -> ChunkedFramer {
    let (headMax, before) = try head(&reader, ChunkedFramer.Heads.allCases.map(\.rawValue))
    let described = try reader.size("max", in: bounds)
    return ChunkedFramer(
      max: ParseSpecification.most(max ?? described, LengthFramer.defaultMax, bound),
      lineMax: try reader.size("line", in: 3...1 << 20) ?? 4 << 10,
      trailersMax: try reader.size("trailers", in: heads) ?? 64 << 10,
      headMax: headMax, heads: before == "message" ? .message : .connection)
  }

  /// What is skipped up to an empty line: the bound and what it comes before; 0 is no head.
  private static func head(
    _ reader: inout DescriptionReader, _ places: [String]
  ) throws(SpecificationError) -> (max: Int, before: String) {
    guard var inner = try reader.object("head") else { return (0, "connection") }
    let before = try inner.word("before", among: places) ?? "connection"
    let max = try inner.size("max", in: heads) ?? 64 << 10
    try inner.finish()
    return (max, before)
  }
}
