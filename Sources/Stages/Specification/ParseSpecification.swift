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
  public init(_ text: String) throws(SpecificationError) {
    var spelled = SpelledStage(flag: "--parse", text: text)
    if spelled.kind == "described" {
      self = .described(try ParseSpecification.described(&spelled))
      return
    }
    if let rest = spelled.rest { try spelled.readOptions(rest) }
    let bounds = 1...ParseSpecification.largestBound
    switch spelled.kind {
    case "raw": self = .raw
    case "lines":
      self = .lines(
        LinesFramer(max: try spelled.takeSize("max", in: bounds) ?? LinesFramer.defaultMax))
    case "length": self = .length(try ParseSpecification.length(&spelled, bounds))
    case "fixed":
      guard let size = try spelled.takeSize("size", in: bounds) else {
        try spelled.finish()
        throw spelled.refusal("the size of a record is missing", allowed: "size=SIZE")
      }
      self = .fixed(FixedFramer(size: size))
    case "wire":
      let largest = 1...Int(UInt32.max)  // the header's length has 32 bits
      self = .wire(
        WireFramer(max: try spelled.takeSize("max", in: largest) ?? WireFramer.defaultMax))
    default: throw spelled.unknownKind()
    }
    try spelled.finish()
  }

  private static func length(
    _ spelled: inout SpelledStage, _ bounds: ClosedRange<Int>
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
    let max = try spelled.takeSize("max", in: bounds) ?? LengthFramer.defaultMax
    return LengthFramer(bytes: bytes, endian: endian, counted: counted, max: max)
  }

  private static func described(
    _ spelled: inout SpelledStage
  ) throws(SpecificationError) -> FramingDescription {
    let parts = (spelled.rest ?? "")[...].parts(at: ",", most: 2)
    guard let path = parts.first, !path.isEmpty else {
      throw spelled.refusal("the file is missing", allowed: "described:FILE[,max=SIZE]")
    }
    if parts.count > 1 { try spelled.readOptions(parts[1]) }
    let max = try spelled.takeSize("max", in: 1...largestBound)
    try spelled.finish()
    return try FramingDescription(path: String(path), text: spelled.text, max: max)
  }

  /// 1 TiB: beyond it a bound is a mistake.
  static let largestBound = 1 << 40

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
