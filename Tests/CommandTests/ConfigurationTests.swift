import CommandSupport
import Glibc
import Ingest
import JSON5
import Testing

@Suite struct ConfigurationTests {
  /// The commands as their files name them.
  private static func arguments(for command: String) -> (name: String, arguments: [String])? {
    switch command {
    case "ingest run": ("ingest", ["run"])
    case "ingest loopback": ("ingest", ["loopback"])
    case "ingest-send": ("ingest-send", [])
    default: nil
    }
  }

  /// The files of configs/ that describe a framing, and those that configure a command.
  static let descriptions = all.filter { isDescription($0) }
  static let files = all.filter { !isDescription($0) }

  private static func isDescription(_ file: String) -> Bool {
    let text = RunningCommand.text(of: RunningCommand.root + "/configs/" + file)
    guard case .object(let object)? = try? JSONText.decode(json5: text) else { return false }
    return object["form"] != nil
  }

  private static let all: [String] = {
    guard let directory = unsafe opendir(RunningCommand.root + "/configs") else { return [] }
    defer { unsafe closedir(directory) }
    var names: [String] = []
    while let entry = unsafe readdir(directory) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name.hasSuffix(".json5") { names.append(name) }
    }
    return names.sorted()
  }()

  @Test func thereAreFiles() {
    #expect(ConfigurationTests.files.count >= 7)
    #expect(ConfigurationTests.descriptions.count >= 2)
  }

  /// A shipped description can be received with, and what is printed for it loads again.
  @Test(arguments: descriptions)
  func describesAFraming(file: String) throws {
    let path = RunningCommand.root + "/configs/" + file
    let first = try RunningCommand.run(
      "ingest", "--parse", "described:" + path, "--show-config")
    #expect(first.code == 0, "\(first.error)")
    let again = try RunningCommand.temporaryFile(first.out)
    defer { unsafe unlink(again) }
    let second = try RunningCommand.run("ingest", "run", "--config", again, "--show-config")
    #expect(second.out == first.out)
  }

  /// What is wrong with a description is told with its line, what is allowed and an example.
  @Test func aWrongDescriptionIsExplained() throws {
    let path = try RunningCommand.temporaryFile(
      "{\n  form: \"length\",\n  header: 4,\n  length: {\n    bytes: 5,\n  },\n}\n")
    defer { unsafe unlink(path) }
    let result = try RunningCommand.run("ingest", "--parse", "described:" + path)
    #expect(result.code == 2)
    let said = result.error.split(separator: "\n").joined(separator: " ")
    for part in [
      "\(path):5: length.bytes: found 5", "allowed: 1, 2, 3, 4, 8",
      "for example: --parse described:configs/kafka-like.json5",
    ] { #expect(said.contains(part), "\(said)") }
  }

  /// Every shipped file says which command it is for, loads there, and what is printed loads again
  /// and comes out the same.
  @Test(arguments: files)
  func loadsAndComesBack(file: String) throws {
    let path = RunningCommand.root + "/configs/" + file
    let text = RunningCommand.text(of: path)
    guard case .object(let object) = try JSONText.decode(json5: text),
      case .string(let command)? = object["command"],
      let (name, arguments) = ConfigurationTests.arguments(for: command)
    else {
      Issue.record("\(file) does not say which command it is for")
      return
    }
    let first = try RunningCommand(name, arguments + ["--config", path, "--show-config"]).finish()
    #expect(first.code == 0, "\(first.error)")
    let again = try RunningCommand.temporaryFile(first.out)
    defer { unsafe unlink(again) }
    let second = try RunningCommand(name, arguments + ["--config", again, "--show-config"]).finish()
    #expect(second.code == 0, "\(second.error)")
    #expect(second.out == first.out)
  }

  @Test func flagsOverrideTheFile() throws {
    let path = RunningCommand.root + "/configs/low-latency.json5"
    let result = try RunningCommand.run(
      "ingest", "--config", path, "--port", "6000", "--no-latency", "--min-wait", "50us",
      "--show-config")
    #expect(result.out.contains(#""port" : 6000"#))
    #expect(result.out.contains(#""latency" : false"#))
    #expect(result.out.contains(#""minWait" : 50"#))
    #expect(result.out.contains(#""buffer" : 16384"#))
  }

  /// iperf3's letters, with the value beside them as many people type it.
  @Test func lettersTakeJoinedValues() throws {
    let send = try RunningCommand.run(
      "ingest-send", "--to", "h:1", "-t5", "-P4", "-l16K", "-b1G", "-Creno", "-A1", "-u", "-6",
      "-n", "1M", "-w", "64K", "-F", "/x", "--show-config")
    #expect(send.code == 0, "\(send.error)")
    for pair in [
      "\"time\" : 5", "\"streams\" : 4", "\"length\" : 16384", "\"bitrate\" : 1000000000",
      "\"congestion\" : \"reno\"", "\"transport\" : \"udp\"", "\"family\" : \"ipv6\"",
      "\"bytes\" : 1048576", "\"socketBuffer\" : 65536", "\"file\" : \"/x\"",
    ] { #expect(send.out.contains(pair), "\(pair)") }
    let receive = try RunningCommand.run("ingest", "-p7", "-1", "-4", "-l8K", "--show-config")
    for pair in [
      "\"port\" : 7", "\"connections\" : 1", "\"family\" : \"ipv4\"", "\"buffer\" : 8192",
    ] { #expect(receive.out.contains(pair), "\(pair)") }
  }

  /// Both ways to name a dmabuf are one key.
  @Test func memoryIsSpelledAsItWasGiven() throws {
    for memory in ["huge2m", "udmabuf:huge2m", "dma-heap:reserved", "dmabuf-fd:7"] {
      let result = try RunningCommand.run("ingest", "--memory", memory, "--show-config")
      #expect(result.out.contains("\"memory\" : \"\(memory)\""), "\(result.error)")
    }
    let flag = try RunningCommand.run("ingest", "--dmabuf-fd", "7", "--show-config")
    #expect(flag.out.contains(#""memory" : "dmabuf-fd:7""#), "\(flag.error)")
  }

  @Test func standardInputIsAFileToo() throws {
    let path = RunningCommand.root + "/configs/verify-wire.json5"
    let result = try RunningCommand("ingest", ["--config", "-", "--show-config"], input: path)
      .finish()
    #expect(result.code == 0)
    #expect(result.out.contains(#""checksum" : "crc32c:verify""#))
  }

  /// The settings know every stored property, so that no key can be forgotten in files and flags.
  @Test func settingsCoverTheTypes() {
    let receive = Set(Setting<ReceiveConfiguration>.all.map(\.key))
    let send = Set(Setting<SendConfiguration>.all.map(\.key))
    #expect(receive == Set(Mirror(reflecting: ReceiveConfiguration()).children.compactMap(\.label)))
    #expect(send == Set(Mirror(reflecting: SendConfiguration()).children.compactMap(\.label)))
  }
}
