import Glibc
import Testing

@testable import NICControl

@Suite("malformed messages")
struct MessageDecoderTests {
  /// For all decoders together: few, because debug builds and the guest are slow.
  /// tools/gates/messages has an optimised build run a million.
  static let inputs: Int = {
    guard let text = unsafe getenv("INGEST_TEST_MUTATIONS") else { return 10_000 }
    return Int(unsafe String(cString: text)) ?? 0
  }()

  private static let deepest = MessageDecoder.deepNest(16_383)

  @Test("whole messages are read, empty ones do no harm", arguments: MessageDecoder.all)
  func samples(decoder: MessageDecoder) {
    #expect(!decoder.samples.isEmpty)
    for sample in decoder.samples { #expect(decoder.outcome(sample) == .read, "\(sample)") }
    if case .wrong(let what) = decoder.outcome([]) { Issue.record("\(what)") }
  }

  @Test(
    "mutated messages are read or refused, by what they say alone", arguments: MessageDecoder.all)
  func mutations(decoder: MessageDecoder) {
    let report = decoder.report(
      seed: 1, count: MessageDecoderTests.inputs / MessageDecoder.all.count + 1)
    // tools/gates/messages counts them.
    print("mutated \(decoder.name): \(report.read) read, \(report.refused) refused")
    #expect(report.finding == nil)
    #expect(report.read > 0, "\(report)")
    #expect(report.refused > 0 || decoder.readsAll, "\(report)")
  }

  @Test("a message cut anywhere", arguments: MessageDecoder.all)
  func cuts(decoder: MessageDecoder) {
    for sample in decoder.samples {
      for length in 0..<sample.count {
        let outcome = decoder.outcome(Array(sample[..<length]))
        if case .wrong(let what) = outcome { Issue.record("\(length) bytes: \(what)") }
      }
    }
  }

  @Test("nests as deep as a message can hold", arguments: MessageDecoder.all)
  func depth(decoder: MessageDecoder) throws {
    let nest = MessageDecoderTests.deepest
    for sample in decoder.samples {
      for bytes in [nest, sample + nest, Array(sample.prefix(sample.count / 2 & ~3)) + nest] {
        if case .wrong(let what) = decoder.outcome(bytes) { Issue.record("\(what)") }
      }
    }
    var level: Attributes? = try Attributes(nest[...])
    var depth = 0
    while let nested = level, !nested.list.isEmpty {
      level = try nested.nested(1)
      depth += 1
    }
    #expect(depth == 16_383)
  }
}

@Suite("malformed messages: faults are found")
struct MessageDecoderFaultTests {
  /// Reads a byte behind its bytes, which no bounds check sees. `outcome` keeps some there.
  private static let peeking = MessageDecoder("peeking", samples: [EthtoolMessages.rings]) {
    bytes throws(MalformedMessage) in
    guard try !Attributes(bytes).list.isEmpty, bytes.count < 80 else {
      throw MalformedMessage("none")
    }
    return unsafe bytes.withUnsafeBufferPointer { buffer in
      unsafe Array(UnsafeBufferPointer(start: buffer.baseAddress, count: buffer.count + 1))
    }
  }

  @Test("a read behind the bytes gives another value with other bytes around them")
  func behind() {
    let report = MessageDecoderFaultTests.peeking.report(seed: 1, count: 200)
    #expect(report.finding?.hasPrefix("peeking, seed 1, [") == true)
    #expect(report.finding?.contains("other bytes around them") == true)
  }

  @Test("a value that is another when written and read again")
  func rewritten() {
    let forgetful = MessageDecoder(
      "forgetful", samples: [EthtoolMessages.rings],
      rewrite: { (value: [UInt8]) throws(MalformedMessage) in value.dropLast() }
    ) { bytes throws(MalformedMessage) in Array(bytes) }
    #expect(forgetful.report(seed: 1, count: 2).finding?.contains("read again") == true)
  }

  @Test("a value that is longer than its bytes")
  func longer() {
    let generous = MessageDecoder(
      "generous", samples: [EthtoolMessages.rings], weight: { (value: [UInt8]) in value.count }
    ) { bytes throws(MalformedMessage) in Array(bytes) + [0] }
    #expect(generous.report(seed: 1, count: 2).finding?.contains("bytes gave") == true)
  }

  /// Believes the length of the first attribute.
  private static func first(_ bytes: ArraySlice<UInt8>, checks: Bool) -> [UInt8] {
    guard let length: UInt16 = bytes.number(at: 0), length >= 4 else { return [] }
    let end = bytes.startIndex + Int(length)
    guard !checks || end <= bytes.endIndex else { return [] }
    return Array(bytes[bytes.startIndex + 4..<end])
  }

  @Test("a length that is believed ends the process; one that is checked does not")
  func believed() async {
    await #expect(processExitsWith: .failure) {
      let decoder = MessageDecoder("believing", samples: [EthtoolMessages.rings]) {
        bytes throws(MalformedMessage) in MessageDecoderFaultTests.first(bytes, checks: false)
      }
      _ = decoder.report(seed: 1, count: 2000)
      exit(EXIT_SUCCESS)
    }
    await #expect(processExitsWith: .success) {
      let decoder = MessageDecoder("checking", samples: [EthtoolMessages.rings]) {
        bytes throws(MalformedMessage) in MessageDecoderFaultTests.first(bytes, checks: true)
      }
      guard decoder.report(seed: 1, count: 2000).finding == nil else { exit(EXIT_FAILURE) }
      exit(EXIT_SUCCESS)
    }
  }
}
