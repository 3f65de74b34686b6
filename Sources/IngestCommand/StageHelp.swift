/// One kind of stage, as it is explained to people.
struct StageHelp: Encodable {
  var place: String
  var kind: String
  var what: String
  var options: [Option]
  var example: String

  struct Option: Encodable {
    var spelling: String
    var what: String

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

  static func purpose(of place: String) -> String {
    switch place {
    case "parse": "how records are found in a connection's bytes"
    case "checksum": "what digest is computed, or compared with the one that came along"
    default: "where records go"
    }
  }

  static let all: [StageHelp] = parsers + checksums + sinks

  private static let parsers = [
    StageHelp("parse", "raw", "no records: the stream as it comes", eg: "raw"),
    StageHelp(
      "parse", "lines", "records end with a newline",
      [Option("max=1M", "longer lines end the connection with a fault")], eg: "lines:max=64K"),
    StageHelp(
      "parse", "length", "each record after a number that says its length",
      [
        Option("bytes=1|2|4|8", "size of the number (4)"),
        Option("endian=big|little", "its byte order (big)"),
        Option("counted=no|yes", "whether it counts itself (no)"),
        Option("max=16M", "longer records end the connection with a fault"),
      ], eg: "length:bytes=4,endian=big"),
    StageHelp(
      "parse", "fixed", "records of one size", [Option("bytes=N", "the size; must be given")],
      eg: "fixed:bytes=4096"),
    StageHelp(
      "parse", "wire", "records of ingest-send: sequence number, length and digest",
      [Option("max=16M", "longer records end the connection with a fault")], eg: "wire"),
  ]

  private static let checksums = [
    StageHelp("checksum", "none", "nothing", eg: "none"),
    StageHelp(
      "checksum", "crc32c", "CRC-32C of each record's payload",
      [Option("verify", "compare with the digest in the record (--parse wire)")],
      eg: "crc32c:verify"),
    StageHelp(
      "checksum", "xxh3", "XXH3 with 64 bits of each record's payload",
      [Option("verify", "compare with the digest in the record (--parse wire)")], eg: "xxh3"),
  ]

  private static let sinks = [
    StageHelp("sink", "null", "counts and lets go", eg: "null"),
    StageHelp(
      "sink", "file", "files, written from the memory that was received into",
      [
        Option("PATH", "a directory, or a name with %c (connection), %a %p (peer)"),
        Option("layout=each|one", "a file for each connection (each), or one for all"),
        Option("bytes=all|payload", "everything (all), or payloads without framing"),
        Option("overwrite", "replace files that are there"),
        Option("sync=close|none", "fsync when a connection ends (close), or never"),
      ], eg: "file:/data/out,bytes=payload"),
    StageHelp(
      "sink", "stdout", "standard output; the result goes to standard error then",
      [Option("bytes=all|payload", "everything (all), or payloads without framing")],
      eg: "stdout:bytes=payload"),
  ]
}
