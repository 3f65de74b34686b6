import RingCore
import Stages
import Wire

extension Target {
  static let wire = Target(
    "wire", "records of ingest-send: headers, sequence, digests", longest: 400,
    seeds: {
      // Two whole records and a cut one; each header is followed by its payload.
      [
        [4, 1, 9, 3, 0, 0, 0, 1, 0, 0, 5, 104, 101, 108, 108, 111, 0, 1, 0, 1, 3, 97, 98, 99],
        [4, 2, 1, 1, 0, 0, 0, 2, 0, 1, 2, 104, 105, 255, 73, 78, 71, 82],
      ]
    },
    run: { bytes in
      var input = Input(bytes)
      let end = streamEnd(&input)
      let kind: ChecksumKind = input.flag() ? .crc32c : .xxh3
      var cutting = Input(input.bytes(3))
      let max = input.flag() ? 40 : WireFramer.defaultMax
      var stream: [UInt8] = []
      var sequence: UInt64 = 0
      while !input.rest.isEmpty { append(&input, to: &stream, &sequence) }
      let lengths = cuts(&cutting, of: stream.count)
      compare(
        WireFramer(max: max), { VerifyChecksum(kind, maxConnections: 1) }, stream[...], lengths, end
      )
    })

  /// A record with a header that fits it, or not in ways that the input chooses; or bare bytes.
  private static func append(
    _ input: inout Input, to stream: inout [UInt8], _ sequence: inout UInt64
  ) {
    let choice = input.byte()
    guard choice < 224 else {
      stream += input.bytes(Int(choice & 31))
      return
    }
    let kinds: [ChecksumKind] = [.none, .crc32c, .xxh3]
    let kind = kinds[input.below(3)]
    let flags = WireHeader.Flags(rawValue: choice & 2 != 0 ? input.short() : 0)
    var payload = input.bytes(Int(input.byte() & 63))
    if choice & 2 != 0, flags.contains(.pattern) {
      let header = WireHeader(
        kind: kind, flags: flags, length: UInt32(payload.count), sequence: sequence, digest: 0)
      var span = payload.mutableSpan
      var raw = unsafe span.mutableBytes
      Pattern.fill(&raw, seed: header.patternSeed ?? 0)
    }
    let digest = unsafe Digest.of(payload.span.bytes, kind)
    let wrong = choice & 28
    let header = WireHeader(
      kind: kind, flags: flags, length: wrong == 4 ? input.word() : UInt32(payload.count),
      sequence: wrong == 8 ? input.long() : sequence, digest: wrong == 12 ? input.long() : digest)
    var bytes = [UInt8](repeating: 0, count: WireHeader.size)
    var span = bytes.mutableSpan
    var raw = unsafe span.mutableBytes
    header.encode(into: &raw)
    let again = unsafe try? WireHeader(decoding: bytes.span.bytes, at: 0)
    require(again == header, "a header that is not read as it was written: \(header)")
    if wrong == 16 {
      let place = input.below(WireHeader.size)
      bytes[place] ^= input.byte()
    }
    sequence = header.sequence &+ 1
    stream += bytes + payload
  }
}
