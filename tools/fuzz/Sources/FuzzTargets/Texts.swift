import CommandSupport
import Ingest
import JSON5
import RingCore

@testable import Stages

extension Target {
  static let configuration = Target(
    "configuration", "JSON5 configurations of every command", longest: 2048
  ) { bytes in
    var input = Input(bytes)
    let command = input.byte()
    let text = String(decoding: input.rest, as: UTF8.self)
    do throws(IngestError) {
      let file = try ConfigurationFile(text: text, name: "file")
      switch command {
      case UInt8(ascii: "s"):
        try apply(file, "ingest-send", Setting<SendConfiguration>.all, to: SendConfiguration())
      case UInt8(ascii: "l"):
        try file.check(command: "ingest loopback", keys: ["receive", "send"])
        var receive = ReceiveConfiguration()
        try file.apply(Setting<ReceiveConfiguration>.all, to: &receive, section: "receive")
        var send = SendConfiguration()
        try file.apply(Setting<SendConfiguration>.all, to: &send, section: "send")
      default:
        try apply(file, "ingest run", Setting<ReceiveConfiguration>.all, to: ReceiveConfiguration())
      }
    } catch {
      require(error.kind == .usage && error.what.hasPrefix("file:"), "no place: \(error)")
    }
  }

  /// Takes what a file says; printed, it is read as the same again.
  private static func apply<Root: Equatable>(
    _ file: ConfigurationFile, _ command: String, _ settings: [Setting<Root>], to start: Root
  ) throws(IngestError) {
    try file.check(command: command, keys: settings.map(\.key))
    var root = start
    try file.apply(settings, to: &root)
    guard let text = try? JSONText.encode(settings.object(of: root), pretty: true) else {
      finding("\(root) cannot be printed")
    }
    var again = start
    do throws(IngestError) {
      try ConfigurationFile(text: text, name: "printed").apply(settings, to: &again)
    } catch {
      finding("printed, a configuration is refused: \(error)\n\(text)")
    }
    require(again == root, "printed, \(root) is \(again)")
  }

  static let specifications = Target(
    "specifications", "stages, sinks, places, sizes and other flags, as they are spelled",
    longest: 256
  ) { bytes in
    var input = Input(bytes)
    let kind = input.byte()
    let text = String(decoding: input.rest, as: UTF8.self)
    do throws(SpecificationError) {
      switch kind {
      case UInt8(ascii: "k"): try sink(text)
      case UInt8(ascii: "p"):
        try reread(text) { text throws(SpecificationError) in try ParseSpecification(text) }
      case UInt8(ascii: "c"):
        try reread(text) { text throws(SpecificationError) in try ChecksumSpecification(text) }
      case UInt8(ascii: "w"):
        try reread(text) { text throws(SpecificationError) in try PlaceSpecification(text) }
      case UInt8(ascii: "x"): try plugins(text)
      case UInt8(ascii: "u"): units(text)
      default: flag(Int(kind), text)
      }
    } catch {
      require(
        error.flag.hasPrefix("--") && !error.problem.isEmpty && !error.allowed.isEmpty
          && !error.example.isEmpty && error.text.utf8.count <= text.utf8.count, "\(error)")
    }
  }

  /// What is printed must be read as the same.
  private static func reread<Value: Equatable & CustomStringConvertible>(
    _ text: String, _ read: (String) throws(SpecificationError) -> Value
  ) throws(SpecificationError) {
    let value = try read(text)
    do throws(SpecificationError) {
      let again = try read(value.description)
      require(again == value, "\(text) is printed as \(value), which is read as \(again)")
    } catch {
      finding("\(text) is printed as \(value), which is refused: \(error)")
    }
  }

  private static func sink(_ text: String) throws(SpecificationError) {
    try reread(text) { text throws(SpecificationError) in try SinkSpecification(text) }
    let specification = try SinkSpecification(text)
    _ = (specification.sharesArea, specification.threadPaths)
    for case .file(let options) in specification.branches {
      guard let template = try? FileTemplate(options, thread: 3) else { continue }
      let connection = Connection(slot: 1, serial: 9, peer: Endpoint())
      _ = (template.path(for: connection), template.path(for: connection, sequence: .max))
    }
  }

  private static func plugins(_ text: String) throws(SpecificationError) {
    let texts = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    for stage in try PluginSpecification.list(texts) {
      try reread(stage.description) { text throws(SpecificationError) in
        try PluginSpecification(text)
      }
    }
  }

  private static func units(_ text: String) {
    if let bytes = Units.bytes(text) {
      require(Units.bytes(String(bytes)) == bytes, "\(text): \(bytes) bytes")
      _ = (Units.transfer(bytes), Units.exactSize(bytes))
    }
    if let rate = Units.bitrate(text) { _ = Units.rate(Double(rate)) }
    if let seconds = Units.seconds(text) {
      require(seconds >= 0, "\(text): \(seconds) s")
      _ = (Units.coarse(seconds), Units.count(seconds), Units.percent(seconds))
      for digits in 0..<4 { _ = Units.fixed(seconds, digits) }
    }
    if let bytes = ByteSize.bytes(text) {
      require(ByteSize.bytes(ByteSize.spelled(bytes)) == bytes, "\(text): \(bytes) bytes")
    }
    if let limit = CopyLimit(rawValue: text) {
      require(limit.share >= 0 && limit.share <= 1, "\(text): \(limit)")
    }
    if let kind = MemoryKind(rawValue: text) {
      require(MemoryKind(rawValue: kind.rawValue) == kind, "\(text): \(kind)")
    }
    _ = nearest(to: text, among: ["parse", "checksum", "sink"])
  }

  /// A flag of any setting, as the command line gives it.
  private static func flag(_ number: Int, _ text: String) {
    if number < 128 {
      flag(Setting<ReceiveConfiguration>.all, number, text, ReceiveConfiguration())
    } else {
      flag(Setting<SendConfiguration>.all, number, text, SendConfiguration())
    }
  }

  private static func flag<Root: Equatable>(
    _ settings: [Setting<Root>], _ number: Int, _ text: String, _ start: Root
  ) {
    let setting = settings[number % settings.count]
    var root = start
    let value = setting.lift(text)
    guard setting.write(&root, value) else {
      return require(!setting.refusal(value).isEmpty, "\(setting.key) \(text): no reason")
    }
    var again = start
    require(
      setting.write(&again, setting.read(root)) && again == root,
      "\(setting.key) \(text): \(setting.read(root)) is not read again")
  }
}
