/// One kind of stage as it is explained to people: for `ingest stages`, and for the examples in
/// errors.
public struct StageHelp: Equatable, Sendable, Encodable {
  /// `parse`, `checksum`, `stage` or `sink`.
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
    case "stage": return "a stage of your own, loaded from a file; none where nothing is given"
    default: return "where records go"
    }
  }

  /// A value that works for the kind, or for the place when there is no such kind.
  static func example(place: String, kind: String) -> String {
    let there = all.filter { $0.place == place }
    return (there.first { $0.kind == kind } ?? there[min(1, there.count - 1)]).example
  }

  /// Every kind that ships, in the order of the chain.
  public static let all: [StageHelp] = parsers + checksums + plugins + sinks

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
    StageHelp(
      "parse", "described", "framing that a JSON5 file describes, as two in configs/ do",
      [
        Option("FILE", "its form: \"length\", or \"chunked\" as in HTTP/1.1, and these keys"),
        Option("header", "form length: bytes of the header that each record starts with"),
        Option("length.at, .bytes", "where its length stands; 1, 2, 3, 4 or 8 bytes of it"),
        Option("length.endian", "\"big\" (as without it) or \"little\""),
        Option(
          "length.counts",
          "the \"payload\" (as without it), the \"rest\" of the record, or \"all\" of it"),
        Option("length.plus", "what is added to the number, perhaps negative (0)"),
        Option("magic.at, .bytes", "bytes such as \"4b 41\" in each header; others are a fault"),
        Option("trailer", "bytes after the payload that belong to the record (0)"),
        Option("line, trailers", "form chunked: most bytes of a size line (4K), of trailers (64K)"),
        Option("head.max", "a head up to an empty line is skipped first; its most bytes (64K)"),
        Option("head.before", "\"connection\" (as without it); in form chunked also \"message\""),
        Option("max", "longer payloads end the connection with a fault (16M)"),
        Option("max=SIZE", "a bound instead of the file's"),
      ], eg: "described:configs/kafka-like.json5"),
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

  private static let plugins = [
    StageHelp(
      "stage", "PATH", "a shared object with a stage in C, C++, Swift, … (ingest_stage.h)",
      [
        Option("?key=value,…", "options for the stage, which says itself what it takes"),
        Option("isolated:PATH", "in a process of its own, which may crash (--stage-isolated PATH)"),
        Option("again for more", "each sees, in order, what those before it let through"),
      ], eg: "./libwords.so?drop=DEBUG")
  ]

  private static let overflow = [
    Option("full=block|spill|drop", "a reader that is behind: wait, put aside, or lose records"),
    Option("spill=FOLDER", "with full=spill, where a file without a name is made"),
    Option("queue=SIZE", "how much may wait: on disk (spill, 1G), in memory (drop, 1M)"),
  ]

  private static let bytes = Option(
    "bytes=all|payload", "everything (all), or payloads without framing")

  private static let sinks = [
    StageHelp("sink", "null", "counts and lets go", eg: "null"),
    StageHelp(
      "sink", "file", "files, written from the memory that was received into",
      [
        Option(
          "PATH",
          "a directory, or a name with %c (connection), %a %p (peer), %t (thread), %n (file), "
            + "%s (start of the run), %%"),
        Option("layout=each|one", "a file for each connection (each), or one for all"),
        bytes,
        Option("overwrite=no|yes", "whether files that are there are replaced (no)"),
        Option("sync=close|none", "fsync when a connection ends (close), or never"),
        Option("sync=rename", "as close, and the name ends in .part until its file is whole"),
        Option("sync-every=TIME", "also while bytes come; --json-stream tells what is safe"),
        Option("direct=no|yes", "past the page cache, from copies in blocks (no)"),
        Option("block=SIZE", "with direct=yes, the block of each file; multiple of 4K (1M)"),
        Option("rotate=SIZE", "the record that reaches SIZE ends the file; %n counts them"),
        Option("rotate-every=TIME", "the same for the record after TIME: 500ms, 10s, 5m, 1h"),
        Option("carry=SIZE", "most memory for records that span receives, and for blocks (1G)"),
      ], eg: "file:/data/out,bytes=payload"),
    StageHelp(
      "sink", "stdout", "standard output; the result goes to standard error then",
      [bytes] + overflow,
      eg: "stdout:bytes=payload"),
    StageHelp(
      "sink", "shm", "another process reads the received memory in place (ingest_shm.h)",
      [
        Option("PATH", "the socket to listen at, with %t (thread) where there are several"),
        Option("ring=N", "records that may wait in the ring, a power of two (8K)"),
        Option("on-death=ACTION", "a consumer's end ends the run (stop), or not (continue)"),
        Option("wait=yes|no", "hold data until a consumer comes (yes), or lose them"),
        Option("full=block|drop", "a consumer that is behind: wait for it, or lose whole records"),
        Option("queue=SIZE", "with full=drop, how much it may have (half of the area)"),
      ], eg: "shm:/run/ingest.sock,on-death=continue"),
    StageHelp(
      "sink", "unix", "a unix socket that another process listens at",
      [
        Option("PATH", "the socket; each thread connects once"),
        Option(
          "mode=stream|fd", "all bytes as they come (stream), or a copied file per connection"),
        bytes, Option("max=SIZE", "with mode=fd, memory for connections that have not ended (1G)"),
      ] + overflow, eg: "unix:/run/reader.sock"),
    StageHelp(
      "sink", "forward", "each connection goes on to another host, over one of its own",
      [
        Option("HOST:PORT", "where to; [::1]:5301 for an IPv6 address"),
        Option("method=send-zc|send", "from the received memory (send-zc), or the kernel copies"),
        bytes,
      ] + overflow, eg: "forward:192.0.2.7:5301"),
    StageHelp(
      "sink", "tee", "everything to two sinks; the slower one sets the pace",
      [Option("A|B", "file, forward, shm or unix, each with its options; in quotes for the shell")],
      eg: "tee:file:/data/out|forward:192.0.2.7:5301"),
  ]
}
