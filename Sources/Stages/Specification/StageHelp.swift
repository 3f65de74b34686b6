/// One kind of stage, for tables in help texts and for examples in errors.
public struct StageHelp: Equatable, Sendable, Codable {
  /// `--parse`, `--checksum` or `--sink`.
  public let flag: String
  public let kind: String
  /// How its options are spelled, empty where it has none.
  public let options: String
  /// What it does, as a sentence without a full stop.
  public let summary: String
  /// A complete value for the flag.
  public let example: String

  /// Every kind that ships, in the order of the chain.
  public static let all: [StageHelp] = [
    StageHelp(
      "--parse", "raw", "", "the stream as it comes, without records", "raw"),
    StageHelp(
      "--parse", "lines", "max=SIZE (64K)",
      "records end with a newline; max bounds a line, newline not counted", "lines:max=1M"),
    StageHelp(
      "--parse", "length", "bytes=1|2|4|8 (4), endian=big|little (big), counted, max=SIZE (16M)",
      "records start with their length; counted: the length counts itself; max bounds the payload",
      "length:bytes=4,endian=big"),
    StageHelp("--parse", "fixed", "size=SIZE", "records of one size", "fixed:size=512"),
    StageHelp(
      "--parse", "wire", "max=SIZE (64M)", "the records of ingest-send", "wire"),
    StageHelp("--checksum", "none", "", "payload is not looked at", "none"),
    StageHelp(
      "--checksum", "crc32c", "verify | expect=HEX",
      "CRC-32C of each connection's payload; verify: of each wire record against its header; "
        + "expect: the digest that every connection must have", "crc32c:verify"),
    StageHelp(
      "--checksum", "xxh3", "verify | expect=HEX", "the same with XXH3-64", "xxh3:verify"),
    StageHelp("--sink", "null", "", "count the bytes and let them go", "null"),
    StageHelp(
      "--sink", "stdout", "bytes=all|payload (all)", "write to standard output",
      "stdout:bytes=payload"),
    StageHelp(
      "--sink", "file",
      "PATH, layout=each|one (each), bytes=all|payload (all), sync=close|none (close), "
        + "carry=SIZE (1G), overwrite",
      "write to a file for each connection, PATH a directory or a template (%c connection, "
        + "%a address, %p port, %t thread, %% percent sign), or to one file for all",
      "file:/data/in/%c.bin,overwrite"),
  ]

  init(_ flag: String, _ kind: String, _ options: String, _ summary: String, _ example: String) {
    self.flag = flag
    self.kind = kind
    self.options = options
    self.summary = summary
    self.example = example
  }

  /// A value that works for the kind, or for the flag when there is no such kind.
  static func example(flag: String, kind: String) -> String {
    let ofFlag = all.filter { $0.flag == flag }
    return (ofFlag.first { $0.kind == kind } ?? ofFlag[min(1, ofFlag.count - 1)]).example
  }
}
