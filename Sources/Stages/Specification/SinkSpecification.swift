/// What `--sink` asks for.
public enum SinkSpecification: Equatable, Sendable, CustomStringConvertible {
  case null
  case stdout(SinkBytes, OverflowOptions = OverflowOptions())
  case file(FileSinkOptions)
  case shared(SharedSinkOptions)
  case unix(UnixSinkOptions)
  case forward(ForwardSinkOptions)
  indirect case tee(SinkSpecification, SinkSpecification)

  /// Reads `null`, `stdout[:key=value,…]` or `KIND:PATH[,key=value,…]`. A path ends at its first
  /// comma; whether it can be written is for the sink to find out.
  public init(_ text: String) throws(SpecificationError) {
    var spelled = SpelledStage(flag: "--sink", text: text)
    switch spelled.kind {
    case "null":
      if let rest = spelled.rest { try spelled.readOptions(rest) }
      self = .null
    case "stdout":
      if let rest = spelled.rest { try spelled.readOptions(rest) }
      let bytes = try spelled.takeCase("bytes", of: SinkBytes.self) ?? .all
      self = .stdout(bytes, try OverflowOptions.taken(from: &spelled))
    case "file": self = .file(try SinkSpecification.file(&spelled))
    case "shm": self = .shared(try SinkSpecification.shared(&spelled))
    case "unix": self = .unix(try SinkSpecification.unix(&spelled))
    case "forward": self = .forward(try SinkSpecification.forward(&spelled))
    case "tee": self = try SinkSpecification.tee(spelled)
    default: throw spelled.unknownKind()
    }
    try spelled.finish()
  }

  private static func file(
    _ spelled: inout SpelledStage
  ) throws(SpecificationError) -> FileSinkOptions {
    var file = FileSinkOptions(path: try spelled.readPath())
    let policy = try spelled.takeCase("full", of: OverflowOptions.Policy.self) ?? .block
    guard policy == .block else {
      throw spelled.refusal(
        "full=\(policy.rawValue) is not for files: a slow disk holds the senders back, and a full "
          + "one ends the file after its last whole byte, which is told",
        allowed: "full=block; in tee:file:PATH|unix:PATH,full=\(policy.rawValue) the other reader "
          + "may be slow")
    }
    file.layout = try spelled.takeCase("layout", of: FileSinkOptions.Layout.self) ?? file.layout
    file.bytes = try spelled.takeCase("bytes", of: SinkBytes.self) ?? file.bytes
    file.sync = try spelled.takeCase("sync", of: FileSinkOptions.Sync.self) ?? file.sync
    file.carry = try spelled.takeSize("carry", in: 4096...1 << 40) ?? file.carry
    file.overwrite = try spelled.takeFlag("overwrite") ?? file.overwrite
    file.direct = try spelled.takeFlag("direct") ?? file.direct
    file.block = try spelled.takeSize("block", in: 4096...1 << 30) ?? file.block
    guard file.block % FileSink.alignment == 0 else {
      throw spelled.refusal("block=\(file.block) is no whole number of pages", allowed: "4K, 8K, …")
    }
    file.rotate = try spelled.takeSize("rotate", in: 1...1 << 40) ?? file.rotate
    file.rotateEvery = try spelled.takeTime("rotate-every") ?? file.rotateEvery
    file.syncEvery = try spelled.takeTime("sync-every") ?? file.syncEvery
    guard file.syncEvery == 0 || file.sync != .none else {
      throw spelled.refusal("sync=none and sync-every contradict each other", allowed: "either")
    }
    return file
  }

  /// The canonical spelling, every option written out.
  public var description: String {
    switch self {
    case .null: return "null"
    case .stdout(let bytes, let overflow):
      return "stdout:bytes=\(bytes.rawValue)" + overflow.spelled
    case .file(let file):
      return "file:\(file.path),layout=\(file.layout.rawValue),bytes=\(file.bytes.rawValue)"
        + ",sync=\(file.sync.rawValue),carry=\(ByteSize.spelled(file.carry))"
        + ",overwrite=\(file.overwrite ? "yes" : "no")"
        + (file.direct ? ",direct=yes" : "")
        + (file.direct || file.block != FileSinkOptions(path: "").block
          ? ",block=\(ByteSize.spelled(file.block))" : "")
        + (file.rotate > 0 ? ",rotate=\(ByteSize.spelled(file.rotate))" : "")
        + (file.rotateEvery > 0 ? ",rotate-every=\(TimeSpan.spelled(file.rotateEvery))" : "")
        + (file.syncEvery > 0 ? ",sync-every=\(TimeSpan.spelled(file.syncEvery))" : "")
    case .shared(let shared): return shared.spelled
    case .unix(let unix): return unix.spelled
    case .forward(let forward): return forward.spelled
    case .tee(let first, let second): return "tee:\(first)|\(second)"
    }
  }
}
