/// What `--sink` asks for.
public enum SinkSpecification: Equatable, Sendable, CustomStringConvertible {
  case null
  case stdout(SinkBytes)
  case file(FileSinkOptions)

  /// Reads `null`, `stdout[:key=value,…]` or `file:PATH[,key=value,…]`. A path ends at its first
  /// comma; whether it can be written is for the sink to find out.
  public init(_ text: String) throws(SpecificationError) {
    var spelled = SpelledStage(flag: "--sink", text: text)
    switch spelled.kind {
    case "null":
      if let rest = spelled.rest { try spelled.readOptions(rest) }
      self = .null
    case "stdout":
      if let rest = spelled.rest { try spelled.readOptions(rest) }
      self = .stdout(try spelled.takeCase("bytes", of: SinkBytes.self) ?? .all)
    case "file": self = .file(try SinkSpecification.file(&spelled))
    default: throw spelled.unknownKind()
    }
    try spelled.finish()
  }

  private static func file(
    _ spelled: inout SpelledStage
  ) throws(SpecificationError) -> FileSinkOptions {
    let parts = (spelled.rest ?? "").split(
      separator: ",", maxSplits: 1, omittingEmptySubsequences: false)
    guard let path = parts.first, !path.isEmpty else {
      throw spelled.refusal("the path is missing", allowed: "file:PATH[,key=value,…]")
    }
    var file = FileSinkOptions(path: String(path))
    if parts.count > 1 { try spelled.readOptions(parts[1]) }
    file.layout = try spelled.takeCase("layout", of: FileSinkOptions.Layout.self) ?? file.layout
    file.bytes = try spelled.takeCase("bytes", of: SinkBytes.self) ?? file.bytes
    file.sync = try spelled.takeCase("sync", of: FileSinkOptions.Sync.self) ?? file.sync
    file.carry = try spelled.takeSize("carry", in: 4096...1 << 40) ?? file.carry
    file.overwrite = try spelled.takeFlag("overwrite") ?? file.overwrite
    return file
  }

  /// The canonical spelling, every option written out.
  public var description: String {
    switch self {
    case .null: return "null"
    case .stdout(let bytes): return "stdout:bytes=\(bytes.rawValue)"
    case .file(let file):
      return "file:\(file.path),layout=\(file.layout.rawValue),bytes=\(file.bytes.rawValue)"
        + ",sync=\(file.sync.rawValue),carry=\(ByteSize.spelled(file.carry))"
        + ",overwrite=\(file.overwrite ? "yes" : "no")"
    }
  }
}
