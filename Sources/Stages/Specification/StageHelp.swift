/// One kind of stage as it is explained to people: for `ingest stages`, and for the examples in
/// errors.
public struct StageHelp: Equatable, Sendable, Encodable {
  /// `parse`, `checksum` or `sink`.
  public let place: String
  public let kind: String
  /// What it does, as a phrase.
  public let what: String
  public let options: [Option]
  /// A complete value for the flag; it is accepted (a test sees to it).
  public let example: String

  public struct Option: Equatable, Sendable, Encodable {
    public let spelling: String
    public let what: String

    init(_ spelling: String, _ what: String) {
      self.spelling = spelling
      self.what = what
    }
  }

  init(_ place: String, _ kind: String, _ what: String, _ options: [Option] = [], eg: String) {
    self.place = place
    self.kind = kind
    self.what = what
    self.options = options
    example = eg
  }

  /// What a place in the chain is for, as a phrase.
  public static func purpose(of place: String) -> String {
    switch place {
    case "parse": return "how records are found in a connection's bytes"
    case "checksum": return "what digest is computed, or compared with the one that came along"
    default: return "where records go"
    }
  }

  /// A value that works for the kind, or for the place when there is no such kind.
  static func example(place: String, kind: String) -> String {
    let there = all.filter { $0.place == place }
    return (there.first { $0.kind == kind } ?? there[min(1, there.count - 1)]).example
  }

  /// Every kind that ships, in the order of the chain.
  public static let all: [StageHelp] = parsers + checksums + sinks

  private static let parsers = [
    StageHelp("parse", "raw", "no records: the stream as it comes", eg: "raw"),
    StageHelp(
      "parse", "lines", "records end with a newline; the last one may lack it",
      [Option("max=SIZE", "longer lines end the connection with a fault (64K)")],
      eg: "lines:max=1M"),
    StageHelp(
      "parse", "length", "each record after a number that says its length",
      [
        Option("bytes=1|2|4|8", "size of the number (4)"),
        Option("endian=big|little", "its byte order (big)"),
        Option("counted=no|yes", "whether it counts itself (no)"),
        Option("max=SIZE", "longer records end the connection with a fault (16M)"),
      ], eg: "length:bytes=4,endian=big"),
    StageHelp(
      "parse", "fixed", "records of one size",
      [Option("size=SIZE", "the size; must be given")], eg: "fixed:size=4K"),
    StageHelp(
      "parse", "wire", "records of ingest-send: sequence number, length and digest",
      [Option("max=SIZE", "longer records end the connection with a fault (64M)")], eg: "wire"),
  ]

  private static let verify = Option(
    "verify", "compare each record with the digest it carries (--parse wire)")
  private static let expect = Option(
    "expect=HEX", "the digest that each connection must come to, in hexadecimal digits")

  private static let checksums = [
    StageHelp("checksum", "none", "nothing: payload is not looked at", eg: "none"),
    StageHelp(
      "checksum", "crc32c", "CRC-32C of each connection's payload", [verify, expect],
      eg: "crc32c:verify"),
    StageHelp(
      "checksum", "xxh3", "XXH3 with 64 bits of each connection's payload", [verify, expect],
      eg: "xxh3"),
  ]

  private static let bytes = Option(
    "bytes=all|payload", "everything (all), or payloads without framing")

  private static let sinks = [
    StageHelp("sink", "null", "counts and lets go", eg: "null"),
    StageHelp(
      "sink", "file", "files, written from the memory that was received into",
      [
        Option(
          "PATH", "a directory, or a name with %c (connection), %a %p (peer), %t (thread), %%"),
        Option("layout=each|one", "a file for each connection (each), or one for all"),
        bytes,
        Option("overwrite=no|yes", "whether files that are there are replaced (no)"),
        Option("sync=close|none", "fsync when a connection ends (close), or never"),
        Option("carry=SIZE", "memory for records that span receives, with layout=one (1G)"),
      ], eg: "file:/data/out,bytes=payload"),
    StageHelp(
      "sink", "stdout", "standard output; the result goes to standard error then", [bytes],
      eg: "stdout:bytes=payload"),
  ]
}
