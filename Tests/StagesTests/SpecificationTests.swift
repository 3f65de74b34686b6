import Stages
import Testing
import Wire

@Suite struct SpecificationTests {
  @Test func parse() throws {
    #expect(try ParseSpecification("raw") == .raw)
    #expect(try ParseSpecification("lines") == .lines(LinesFramer(max: 65536)))
    #expect(try ParseSpecification("lines:max=2K") == .lines(LinesFramer(max: 2048)))
    #expect(
      try ParseSpecification("length")
        == .length(LengthFramer(bytes: 4, endian: .big, counted: false, max: 16 << 20)))
    #expect(
      try ParseSpecification("length:max=1G,counted,endian=little,bytes=8")
        == .length(LengthFramer(bytes: 8, endian: .little, counted: true, max: 1 << 30)))
    #expect(try ParseSpecification("length:counted=no") == ParseSpecification("length"))
    #expect(try ParseSpecification("fixed:size=512") == .fixed(FixedFramer(size: 512)))
    #expect(try ParseSpecification("wire") == .wire(WireFramer(max: 64 << 20)))
  }

  @Test func checksum() throws {
    #expect(try ChecksumSpecification("none") == .none)
    #expect(try ChecksumSpecification("crc32c") == .compute(.crc32c, expected: nil))
    #expect(try ChecksumSpecification("xxh3:verify") == .verify(.xxh3))
    #expect(
      try ChecksumSpecification("crc32c:expect=E3069283")
        == .compute(.crc32c, expected: 0xe306_9283))
    #expect(
      try ChecksumSpecification("xxh3:expect=0x2d06800538d394c2")
        == .compute(.xxh3, expected: 0x2d06_8005_38d3_94c2))
  }

  @Test func sink() throws {
    #expect(try SinkSpecification("null") == .null)
    #expect(try SinkSpecification("stdout") == .stdout(.all))
    #expect(try SinkSpecification("stdout:bytes=payload") == .stdout(.payload))
    var file = FileSinkOptions(path: "/data/a:b=%c")
    #expect(try SinkSpecification("file:/data/a:b=%c") == .file(file))
    file.layout = .one
    file.bytes = .payload
    file.sync = .none
    file.carry = 8 << 20
    file.overwrite = true
    #expect(
      try SinkSpecification(
        "file:/data/a:b=%c,layout=one,overwrite,bytes=payload,sync=none,carry=8M") == .file(file))
  }

  @Test func sinkOfAnotherProcess() throws {
    var shared = SharedSinkOptions(path: "/run/a:b.sock")
    #expect(try SinkSpecification("shm:/run/a:b.sock") == .shared(shared))
    shared.ring = 64
    shared.onDeath = .continue
    shared.wait = false
    let text = "shm:/run/a:b.sock,ring=64,on-death=continue,wait=no"
    #expect(try SinkSpecification(text) == .shared(shared))
    #expect(try SinkSpecification(text).description == text)
    #expect(try SinkSpecification(text).sharesArea)
    var unix = UnixSinkOptions(path: "/run/x")
    #expect(try SinkSpecification("unix:/run/x") == .unix(unix))
    unix.bytes = .payload
    #expect(try SinkSpecification("unix:/run/x,mode=stream,bytes=payload") == .unix(unix))
    #expect(try !SinkSpecification("unix:/run/x").sharesArea)
    unix.mode = .fd
    unix.max = 8 << 20
    #expect(try SinkSpecification("unix:/run/x,mode=fd,bytes=payload,max=8M") == .unix(unix))
    #expect(SinkSpecification.unix(unix).description == "unix:/run/x,mode=fd,bytes=payload,max=8M")
  }

  /// One bound for whatever framing: in place of its own, and never raised by it.
  @Test(
    arguments: [
      ("lines", 1 << 20, "lines:max=1M"), ("lines:max=2K", 1 << 20, "lines:max=2K"),
      ("lines:max=2M", 1 << 20, "lines:max=1M"),
      ("length", 100, "length:bytes=4,endian=big,counted=no,max=100"),
      ("wire", 1 << 30, "wire:max=1G"), ("wire:max=4G", 1 << 10, nil),
      ("wire", 512, "wire:max=512"),
      ("fixed:size=4K", 4096, "fixed:size=4K"), ("fixed:size=4K", 4095, nil), ("raw", 4096, nil),
    ] as [(String, Int, String?)])
  func oneBoundForAllFramings(text: String, bound: Int, wanted: String?) throws {
    let parse = try? ParseSpecification(text, bound: bound)
    #expect(parse?.description == wanted)
  }

  @Test func sinkThatSendsOn() throws {
    var forward = ForwardSinkOptions(host: "10.0.0.2", port: 5301)
    #expect(try SinkSpecification("forward:10.0.0.2:5301") == .forward(forward))
    forward = ForwardSinkOptions(host: "::1", port: 9)
    forward.method = .send
    forward.bytes = .payload
    let text = "forward:[::1]:9,method=send,bytes=payload"
    #expect(try SinkSpecification(text) == .forward(forward))
    #expect(SinkSpecification.forward(forward).description == text)
  }

  @Test func twoSinks() throws {
    let tee = try SinkSpecification("tee:file:/a,direct|shm:/b")
    guard case .tee(let first, let second) = tee else {
      Issue.record("\(tee) is no tee")
      return
    }
    #expect(try first == SinkSpecification("file:/a,direct"))
    #expect(try second == SinkSpecification("shm:/b"))
    #expect(tee.sharesArea && tee.threadPaths == ["/b"])
    #expect(try SinkSpecification(tee.description) == tee)
  }

  /// Blocks without direct=yes, and marks that make one character of what comes before or after.
  @Test(arguments: [
    "file:/a,block=64K", "file:/a\u{600}", "shm:/a\u{600}", "unix:/a\u{301},mode=fd",
    "forward:h\u{600}:5", "tee:file:/a\u{600}|shm:/b\u{600}",
  ])
  func aSinkIsPrintedAsItIsRead(text: String) throws {
    let sink = try SinkSpecification(text)
    #expect(try SinkSpecification(sink.description) == sink)
    // A comma is one whatever mark follows it.
    #expect(throws: SpecificationError.self) { try SinkSpecification("file:/a,\u{301}layout=one") }
  }

  /// What is printed is read back as the same.
  @Test(arguments: StageHelp.all)
  func examplesAreAcceptedAndCanonicalSpellingsReadBack(_ help: StageHelp) throws {
    switch help.place {
    case "parse":
      let value = try ParseSpecification(help.example)
      #expect(try ParseSpecification(value.description) == value)
    case "checksum":
      let value = try ChecksumSpecification(help.example)
      #expect(try ChecksumSpecification(value.description) == value)
    case "stage":
      let value = try PluginSpecification(help.example)
      #expect(try PluginSpecification(value.description) == value)
    default:
      let value = try SinkSpecification(help.example)
      #expect(try SinkSpecification(value.description) == value)
    }
  }

  @Test func canonicalSpellings() throws {
    #expect(
      try ParseSpecification("length:counted,bytes=2").description
        == "length:bytes=2,endian=big,counted=yes,max=16M")
    #expect(
      try ChecksumSpecification("crc32c:expect=ff").description == "crc32c:expect=000000ff")
    #expect(
      try ChainSpecification(parse: "wire", checksum: "xxh3:verify", sink: "null").description
        == "--parse wire:max=64M --checksum xxh3:verify --sink null")
  }

  /// Value, what is wrong, what is allowed.
  @Test(arguments: [
    ("", "the kind is missing", "raw, lines, length, fixed, wire"),
    ("json", "there is no kind json", "raw, lines, length, fixed, wire"),
    ("raw:max=3", "raw has no option max", "no options"),
    ("lines:mux=3", "lines has no option mux", "max"),
    ("lines:max", "max needs a value", "max=SIZE"),
    ("lines:max=0", "max=0 is out of range", "1 to 1024G"),
    ("lines:max=1.5K", "max=1.5K is no size", "a whole number"),
    ("lines:max=1,max=2", "max is given twice", "each option once"),
    ("lines:", "an option is empty", "key=value"),
    ("length:bytes=3", "bytes=3 is no prefix size", "1, 2, 4, 8"),
    ("length:endian=middle", "endian=middle is not known", "big, little"),
    ("length:counted=maybe", "counted=maybe is not known", "counted=yes, counted=no"),
    ("fixed", "the size of a record is missing", "size=SIZE"),
    ("fixed:bytes=4", "fixed has no option bytes", "size"),
    ("wire:max=4G", "max=4G is out of range", "1 to 4294967295"),
  ])
  func parseRefuses(_ text: String, _ problem: String, _ allowed: String) {
    let error = #expect(throws: SpecificationError.self) { try ParseSpecification(text) }
    #expect(error?.description == "--parse \(text): \(problem)")
    #expect(error?.allowed.contains(allowed) == true)
    #expect(error?.remedy.contains("for example: --parse ") == true)
  }

  @Test(arguments: [
    ("md5", "there is no kind md5"),
    ("none:verify", "none has no option verify"),
    ("crc32c:check", "crc32c has no option check"),
    ("crc32c:expect=123456789", "expect=123456789 is no crc32c digest"),
    ("xxh3:expect=+1", "expect=+1 is no xxh3 digest"),
    ("xxh3:verify,expect=1", "verify and expect ask for different things"),
  ])
  func checksumRefuses(_ text: String, _ problem: String) {
    let error = #expect(throws: SpecificationError.self) { try ChecksumSpecification(text) }
    #expect(error?.description == "--checksum \(text): \(problem)")
  }

  @Test(arguments: [
    ("tape", "there is no kind tape"),
    ("null:x", "null has no option x"),
    ("file", "the path is missing"),
    ("file:,layout=one", "the path is missing"),
    ("file:/a,layuot=one", "file has no option layuot"),
    ("file:/a,layout=both", "layout=both is not known"),
    ("shm", "the path is missing"),
    ("shm:/a,ring=3", "ring=3 is no power of two"),
    ("shm:/a,ring=1", "ring=1 is out of range"),
    ("shm:/a,on-death=cry", "on-death=cry is not known"),
    ("shm:/a,bytes=all", "shm has no option bytes"),
    ("unix:", "the path is missing"),
    ("unix:/a,max=1M", "unix has no option max"),
    ("unix:/a,mode=dgram", "mode=dgram is not known"),
    ("stdout:bytes=half", "bytes=half is not known"),
    ("tee", "it takes two sinks"),
    ("tee:file:/a", "it takes two sinks"),
    ("tee:null|file:/a", "null cannot be one of two sinks"),
    ("forward", "the HOST:PORT is missing"),
    ("forward:host", "host has no port from 1 to 65535"),
    ("forward:host:70000", "host:70000 has no port from 1 to 65535"),
    ("forward:::1:5301", "::1:5301 is no HOST:PORT"),
    ("forward::5301", "the host is missing"),
    ("forward:a:1,method=carrier", "method=carrier is not known"),
    ("forward:a:1,sync=none", "forward has no option sync"),
  ])
  func sinkRefuses(_ text: String, _ problem: String) {
    let error = #expect(throws: SpecificationError.self) { try SinkSpecification(text) }
    #expect(error?.description == "--sink \(text): \(problem)")
  }

  @Test func verifyNeedsRecordsWithDigests() throws {
    let error = #expect(throws: SpecificationError.self) {
      try ChainSpecification(parse: "lines", checksum: "crc32c:verify", sink: "null")
    }
    #expect(error?.problem == "records of --parse lines carry no digest to verify")
    #expect(error?.example == "crc32c:verify --parse wire")
    _ = try ChainSpecification(parse: "wire", checksum: "crc32c:verify", sink: "null")
  }

  @Test func sizes() {
    let sizes = [("0", 0), ("1", 1), ("64K", 65536), ("3m", 3 << 20), ("2G", 2 << 30)]
    for (text, bytes) in sizes { #expect(ByteSize.bytes(text) == bytes) }
    for text in ["", "K", "-1", "1T", "1 K", "0x10", "9223372036854775807G", "1KK"] {
      #expect(ByteSize.bytes(text) == nil)
    }
    for bytes in [0, 1, 1023, 1024, 1025, 3 << 20, (1 << 30) + 1024, 1 << 40] {
      #expect(ByteSize.bytes(ByteSize.spelled(bytes)) == bytes)
    }
  }
}
