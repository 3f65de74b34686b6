import Wire

/// What `--parse` asks for: a framer with its options.
public enum ParseSpecification: Equatable, Sendable, CustomStringConvertible {
  case raw
  case lines(LinesFramer)
  case length(LengthFramer)
  case fixed(FixedFramer)
  case wire(WireFramer)
  case described(FramingDescription)

  /// Reads `KIND[:key=value,…]`, and the file of `described:FILE[,max=SIZE]`; its path ends at its
  /// first comma.
  ///
  /// `bound` stands in for each framing's own bound of a record's payload, which `max=` may lower
  /// then, not raise. A framing without bounds is refused with one.
  public init(_ text: String, bound: Int? = nil) throws(SpecificationError) {
    var spelled = SpelledStage(flag: "--parse", text: text)
    if spelled.kind == "described" {
      self = .described(try ParseSpecification.described(&spelled, bound))
      return
    }
    if let rest = spelled.rest { try spelled.readOptions(rest) }
    let bounds = 1...ParseSpecification.largestBound
    switch spelled.kind {
    case "raw":
      guard bound == nil else {
        throw spelled.refusal(
          "it finds no records that --max-record could bound",
          allowed: "a --parse that finds records, or no --max-record")
      }
      self = .raw
    case "lines":
      let max = try spelled.takeSize("max", in: bounds)
      self = .lines(LinesFramer(max: ParseSpecification.most(max, LinesFramer.defaultMax, bound)))
    case "length": self = .length(try ParseSpecification.length(&spelled, bounds, bound))
    case "fixed":
      self = .fixed(FixedFramer(size: try ParseSpecification.fixed(&spelled, bounds, bound)))
    case "wire":
      let largest = 1...Int(UInt32.max)  // the header's length has 32 bits
      let max = try spelled.takeSize("max", in: largest)
      self = .wire(WireFramer(max: ParseSpecification.most(max, WireFramer.defaultMax, bound)))
    default: throw spelled.unknownKind()
    }
    try spelled.finish()
  }

  /// The bound of a record: what is given here, else the general one, else the framing's own; never
  /// beyond the general one.
  static func most(_ given: Int?, _ standard: Int, _ bound: Int?) -> Int {
    guard let bound else { return given ?? standard }
    return min(given ?? bound, bound)
  }

  private static func fixed(
    _ spelled: inout SpelledStage, _ bounds: ClosedRange<Int>, _ bound: Int?
  ) throws(SpecificationError) -> Int {
    guard let size = try spelled.takeSize("size", in: bounds) else {
      try spelled.finish()
      throw spelled.refusal("the size of a record is missing", allowed: "size=SIZE")
    }
    if let bound, size > bound {
      throw spelled.refusal(
        "its records are larger than --max-record \(ByteSize.spelled(bound))",
        allowed: "size=1 to size=\(ByteSize.spelled(bound)), or a larger --max-record")
    }
    return size
  }

  private static func length(
    _ spelled: inout SpelledStage, _ bounds: ClosedRange<Int>, _ bound: Int?
  ) throws(SpecificationError) -> LengthFramer {
    var bytes = 4
    if let text = try spelled.take("bytes", allowed: "1|2|4|8") {
      guard let number = Int(text), [1, 2, 4, 8].contains(number) else {
        throw spelled.refusal("bytes=\(text) is no prefix size", allowed: "1, 2, 4, 8")
      }
      bytes = number
    }
    let endian = try spelled.takeCase("endian", of: LengthFramer.Endian.self) ?? .big
    let counted = try spelled.takeFlag("counted") ?? false
    let max = try spelled.takeSize("max", in: bounds)
    return LengthFramer(
      bytes: bytes, endian: endian, counted: counted, max: most(max, LengthFramer.defaultMax, bound)
    )
  }

  private static func described(
    _ spelled: inout SpelledStage, _ bound: Int?
  ) throws(SpecificationError) -> FramingDescription {
    let parts = (spelled.rest ?? "")[...].parts(at: ",", most: 2)
    guard let path = parts.first, !path.isEmpty else {
      throw spelled.refusal("the file is missing", allowed: "described:FILE[,max=SIZE]")
    }
    if parts.count > 1 { try spelled.readOptions(parts[1]) }
    let max = try spelled.takeSize("max", in: 1...largestBound)
    try spelled.finish()
    return try FramingDescription(
      path: String(path), text: spelled.text, max: max, bound: bound)
  }

  /// 1 TiB: beyond it a bound is a mistake.
  public static let largestBound = 1 << 40

  /// The most bytes of a record, framing included; nil for a stream without records.
  public var recordBound: Int? {
    switch self {
    case .raw: return nil
    case .lines(let framer): return framer.max + 1
    case .length(let framer): return framer.bytes + framer.max
    case .fixed(let framer): return framer.size
    case .wire(let framer): return WireHeader.size + framer.max
    case .described(let description): return description.recordBound
    }
  }

  /// The canonical spelling, every option written out.
  public var description: String {
    switch self {
    case .raw: return "raw"
    case .lines(let framer): return "lines:max=\(ByteSize.spelled(framer.max))"
    case .length(let framer):
      let counted = framer.counted ? ",counted=yes" : ",counted=no"
      return "length:bytes=\(framer.bytes),endian=\(framer.endian.rawValue)\(counted)"
        + ",max=\(ByteSize.spelled(framer.max))"
    case .fixed(let framer): return "fixed:size=\(ByteSize.spelled(framer.size))"
    case .wire(let framer): return "wire:max=\(ByteSize.spelled(framer.max))"
    case .described(let description): return description.spelling
    }
  }
}
