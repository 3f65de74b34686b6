import Glibc
import IngestTestSupport
import RingCore
import Stages
import Testing

/// Files that describe a framing: what they give, and what is wrong with wrong ones.
@Suite struct DescriptionTests {
  private final class File {
    let directory: TemporaryDirectory
    let path: String

    init(_ text: String) throws {
      directory = try TemporaryDirectory()
      path = directory.path + "/framing.json5"
      try write(text)
    }

    func write(_ text: String) throws {
      let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
      try #require(descriptor >= 0)
      defer { close(descriptor) }
      let bytes = Array(text.utf8)
      try #require(unsafe Glibc.write(descriptor, bytes, bytes.count) == bytes.count)
    }
  }

  private static func form(
    _ text: String, options: String = ""
  ) throws -> FramingDescription.Form {
    let file = try File(text)
    let specification = try ParseSpecification("described:\(file.path)\(options)")
    guard case .described(let description) = specification else {
      throw SpecificationError(
        flag: "", text: "", problem: "not a description", allowed: "", example: "")
    }
    #expect(try ParseSpecification(specification.description) == specification)
    return description.form
  }

  /// A bound for all framings holds where the file has none or a larger one.
  @Test(arguments: [("", 512, 512), (", max: \"1K\"", 512, 512), (", max: 256", 512, 256)])
  func theGeneralBoundHolds(max: String, bound: Int, wanted: Int) throws {
    for (text, isChunked) in [
      ("{ form: 'length', header: 4, length: { bytes: 4 }\(max) }", false),
      ("{ form: 'chunked'\(max) }", true),
    ] {
      let file = try File(text)
      let parse = try ParseSpecification("described:\(file.path)", bound: bound)
      guard case .described(let description) = parse else { continue }
      switch description.form {
      case .length(let framer): #expect(framer.max == wanted && !isChunked)
      case .chunked(let framer): #expect(framer.max == wanted && isChunked)
      }
    }
  }

  @Test func lengths() throws {
    #expect(
      try Self.form("{ form: 'length', header: 4, length: { bytes: 4 } }")
        == .length(HeaderFramer(size: 4, length: .init(at: 0, bytes: 4))))
    let text = """
      {
        form: "length",  // with everything
        header: "1K",
        length: { at: 5, bytes: 3, endian: "little", counts: "payload", plus: -2 },
        magic: { at: 8, bytes: "ff0A 7f" },
        trailer: 4,
        head: { max: "1K", before: "connection" },
        max: "2M",
      }
      """
    #expect(
      try Self.form(text)
        == .length(
          HeaderFramer(
            size: 1024, length: .init(at: 5, bytes: 3, endian: .little, plus: -2),
            magic: .init(at: 8, [0xff, 0x0a, 0x7f]), trailer: 4, max: 2 << 20, headMax: 1024)))
    #expect(
      try Self.form(
        "{ form: 'length', header: 4, length: { bytes: 4 }, max: 9 }", options: ",max=1K")
        == .length(HeaderFramer(size: 4, length: .init(at: 0, bytes: 4), max: 1024)))
  }

  /// What the number counts beside the payload, in a header of 12 with 2 bytes at 4 and a trailer
  /// of 3.
  @Test(arguments: [("payload", 0), ("rest", -9), ("all", -15)])
  func counts(_ counts: String, _ plus: Int) throws {
    for more in [0, 7, -7] {
      let text =
        "{ form: 'length', header: 12, trailer: 3, "
        + "length: { at: 4, bytes: 2, counts: '\(counts)', plus: \(more) } }"
      #expect(
        try Self.form(text)
          == .length(
            HeaderFramer(size: 12, length: .init(at: 4, bytes: 2, plus: plus + more), trailer: 3)))
    }
  }

  @Test func chunks() throws {
    #expect(try Self.form("{ form: 'chunked' }") == .chunked(ChunkedFramer()))
    #expect(
      try Self.form(
        "{ form: 'chunked', max: 7, line: 9, trailers: 11, head: { max: 13, before: 'message' } }")
        == .chunked(
          ChunkedFramer(max: 7, lineMax: 9, trailersMax: 11, headMax: 13, heads: .message)))
    #expect(
      try Self.form("{ form: 'chunked', head: {} }") == .chunked(ChunkedFramer(headMax: 65536)))
  }

  /// Description, the line and key of what is wrong, a part of what is allowed.
  @Test(arguments: [
    ("{}", 1, "form: is missing", "form: \"length\""),
    ("{\n form: 'size' }", 2, "form: found \"size\"", "\"length\", \"chunked\""),
    ("{ form: 'length',\n\n header: 0 }", 3, "header: found 0", "from 1 to 64K"),
    ("{ form: 'length' }", 1, "header: is missing", "header: BYTES"),
    ("{ form: 'length', header: 4,\n}", 1, "length: is missing", "{ at: 0, bytes: 4 }"),
    ("{ form: 'length', header: 4,\n length: 4 }", 2, "length: found 4", "an object"),
    ("{ form: 'length', header: 4,\n length: {} }", 2, "length.bytes: is missing", "1, 2, 3, 4"),
    (
      "{ form: 'length', header: 4, length: {\n bytes: 5 } }", 2, "length.bytes: found 5",
      "1, 2, 3, 4, 8"
    ),
    (
      "{ form: 'length', header: 4, length: { bytes: 4,\n at: 1 } }", 2,
      "length.at: 4 bytes at 1 do not lie in a header of 4", "up to header"
    ),
    (
      "{ form: 'length', header: 4, length: { bytes: 4,\n endian: 'middle' } }", 2,
      "length.endian: found \"middle\"", "\"big\", \"little\""
    ),
    (
      "{ form: 'length', header: 4, length: { bytes: 4,\n plus: 0.5 } }", 2,
      "length.plus: found 0.5", "from -1048576 to 1048576"
    ),
    (
      "{ form: 'length', header: 4, length: { bytes: 4,\n plus: -9223372036854775808 } }", 2,
      "length.plus: found", "from -1048576 to 1048576"
    ),
    (
      "{ form: 'length', header: 4, length: { bytes: 2 }, magic: {\n bytes: '4b4' } }", 2,
      "magic.bytes: found \"4b4\"", "pairs of hexadecimal digits"
    ),
    (
      "{ form: 'length', header: 4, length: { bytes: 2 }, magic: {\n bytes: '4b 41', at: 3 } }", 2,
      "magic.at: 2 bytes at 3 do not lie in a header of 4", "up to header"
    ),
    (
      "{ form: 'length', header: 4, length: { bytes: 4 },\n head: { before: 'message' } }", 2,
      "head.before: found \"message\"", "\"connection\""
    ),
    ("{ form: 'chunked',\n hed: {} }", 2, "hed: unknown key; did you mean head?", "max, line"),
    ("{ form: 'chunked',\n header: 4 }", 2, "header: unknown key", "max, line"),
    ("{ form: 'chunked', max: '2T' }", 1, "max: found \"2T\"", "1 to 1024G"),
  ])
  func refuses(_ text: String, _ line: Int, _ problem: String, _ allowed: String) throws {
    let file = try File(text)
    let error = #expect(throws: SpecificationError.self) {
      try ParseSpecification("described:" + file.path)
    }
    let said = try #require(error)
    #expect(said.problem.hasPrefix("\(file.path):\(line): \(problem)"), "\(said)")
    #expect(said.allowed.contains(allowed), "\(said.allowed)")
    #expect(said.remedy.hasSuffix("for example: --parse described:configs/kafka-like.json5"))
  }

  @Test func filesThatCannotBeRead() throws {
    func refusal(_ text: String) -> SpecificationError? {
      #expect(throws: SpecificationError.self) { try ParseSpecification(text) }
    }
    #expect(refusal("described")?.problem == "the file is missing")
    #expect(refusal("described:")?.problem == "the file is missing")
    #expect(refusal("described:/no/such")?.problem.hasPrefix("cannot open /no/such: No") == true)
    #expect(refusal("described:/no/such")?.remedy.contains("ls -l /no/such") == true)
    let file = try File("{ form: 'chunked'\n max: 1 }")
    #expect(refusal("described:" + file.path)?.problem == "\(file.path):2: expected , or }")
    #expect(refusal("described:\(file.path),mix=1")?.problem == "described has no option mix")
    try file.write("[1]")
    #expect(
      refusal("described:" + file.path)?.problem
        == "\(file.path):1: expected an object { … }, found a list")
  }

  /// Whatever a file says is a framing or an error, never the end of the process.
  @Test func spoiledFiles() throws {
    let texts = [
      "{ form: 'length', header: 12, length: { at: 4, bytes: 2, endian: 'big', counts: 'rest', "
        + "plus: -3 }, magic: { at: 0, bytes: '4b 41' }, trailer: 3, head: { max: '1K', before: "
        + "'connection' }, max: '2M' }",
      "{ form: 'chunked', max: 7, line: 9, trailers: 11, head: { max: 13, before: 'message' } }",
    ].map { Array($0.utf8) }
    let words = [
      "9223372036854775807", "-", "0", "'64K'", "null", "{}", "[", "1e300", "65536", "8",
    ]
    var generator = SeededGenerator(seed: 5)
    let file = try File("{}")
    var accepted = 0
    for number in 0..<4000 {
      var bytes = texts[number % texts.count]
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        let place = Int.random(in: 0..<bytes.count, using: &generator)
        switch Int.random(in: 0..<3, using: &generator) {
        case 0: bytes[place] = UInt8.random(in: 32...126, using: &generator)
        case 1: bytes.remove(at: place)
        default:
          // A value in the place of another.
          let digits = bytes.indices.filter { bytes[$0] >= 48 && bytes[$0] <= 57 }
          let at = digits.randomElement(using: &generator) ?? place
          bytes.replaceSubrange(
            at...at, with: Array(words.randomElement(using: &generator)!.utf8))
        }
      }
      try file.write(String(decoding: bytes, as: UTF8.self))
      do throws(SpecificationError) {
        let parse = try ParseSpecification("described:" + file.path)
        accepted += 1
        #expect((parse.recordBound ?? 0) > 0)
      } catch {
        #expect(error.problem.contains(file.path))
      }
    }
    #expect(accepted > 100 && accepted < 3900)
  }
}
