package import Ingest
package import RingCore
import Stages

/// A fault with its connection's peer, as a sentence and as fields.
package struct FaultReport: Encodable, Sendable {
  package var kind: String
  package var connection: UInt64
  package var peer: String
  package var record: UInt64
  package var offset: UInt64
  package var expected: UInt64
  package var found: UInt64
  package var text: String

  package init(_ fault: Fault, peer: String?, dropped: Bool = false) {
    let peer = peer ?? "unknown peer"
    kind = fault.kind.name
    connection = fault.connection
    self.peer = peer
    record = fault.record
    offset = fault.offset
    expected = fault.expected
    found = fault.found
    let place =
      "connection \(fault.connection) (\(peer)), record \(fault.record), byte \(fault.offset)"
    text = withPrivilegeHint("\(place): \(fault.sentence)", dropped: dropped)
  }
}

extension Fault {
  /// What is wrong and what it means, without the place.
  package var sentence: String {
    switch kind {
    case .recordTooLong:
      "the length prefix says \(found) bytes, the bound is \(expected): "
        + "not length-prefixed, of the other byte order, or a larger max is needed in --parse "
        + "(or as --max-record)"
    case .lineTooLong:
      "no newline within \(expected) bytes: not lines, or a larger max is needed in --parse (or as "
        + "--max-record)"
    case .recordTooShort:
      "the length says \(found) and counts \(expected) bytes of framing too: "
        + "most likely it does not count them"
    case .badMagic:
      "a record starts with \(hexadecimal(found)) where \(hexadecimal(expected)) belongs: "
        + (record == 0
          ? "this peer does not send wire records" : "the stream was damaged on the way")
    case .unexpectedByte:
      "byte \(octet(found)) where the format has \(octet(expected)): this peer sends something "
        + "else, or the description given to --parse does not fit"
    case .chunkSize:
      "byte \(octet(found)) where the hexadecimal size of a chunk belongs: the stream is not "
        + "chunked, or a head comes first (head: in the description given to --parse)"
    case .noEmptyLine:
      "no empty line within \(expected) bytes: there is no such head, or the description given to "
        + "--parse needs a larger max"
    case .unknownFormat:
      "wire version \(found), this build knows \(expected): use the same version on both ends"
    case .checksumKind:
      "the record carries \(digestName(found)) where \(digestName(expected)) is to be verified: "
        + "give both ends the same --checksum"
    case .badHeader:
      "a record header whose own CRC32C does not fit (expected \(hexadecimal(expected)), found "
        + "\(hexadecimal(found))): it was damaged on the way"
    case .sequence:
      "sequence number \(found) where \(expected) belongs: "
        + (found > expected ? "records were lost" : "records came twice or out of order")
    case .checksum:
      "the payload's digest is \(hexadecimal(found)) where \(hexadecimal(expected)) was "
        + "promised: bytes changed on the way"
    case .truncated:
      "the stream ended after \(found) of \(expected) bytes of a record: "
        + "the sender stopped or died in the middle, or it was cut off here"
    case .dropped:
      "the sink's reader is behind (\(found) bytes wait of \(expected) that may): records of this "
        + "connection are dropped, as full=drop wants it"
    case .sink:
      "the sink cannot write: \(errorText(Int32(truncatingIfNeeded: found))); "
        + "data is safe up to byte \(offset)"
    case .stage:
      StageCatalog.sentence(expected, code: found)
    }
  }

  /// What this fault makes of the run; nil where it was asked for.
  package var severity: IngestError.Kind? {
    switch kind {
    case .checksum, .checksumKind, .sequence, .badHeader: .verificationFailed
    // Damage in the middle of a good stream, against a peer that never spoke the format.
    case .badMagic: record == 0 ? .peerFailed : .verificationFailed
    case .recordTooLong, .lineTooLong, .recordTooShort, .unexpectedByte, .chunkSize,
      .noEmptyLine, .unknownFormat, .truncated:
      .peerFailed
    case .dropped: nil
    case .sink: .failed
    case .stage: .verificationFailed
    }
  }
}

extension Fault.Kind {
  package var name: String {
    switch self {
    case .recordTooLong: "record-too-long"
    case .lineTooLong: "line-too-long"
    case .recordTooShort: "record-too-short"
    case .badMagic: "bad-magic"
    case .unexpectedByte: "unexpected-byte"
    case .chunkSize: "chunk-size"
    case .noEmptyLine: "no-empty-line"
    case .unknownFormat: "unknown-format"
    case .checksumKind: "checksum-kind"
    case .badHeader: "bad-header"
    case .sequence: "sequence"
    case .checksum: "checksum"
    case .truncated: "truncated"
    case .dropped: "dropped"
    case .sink: "sink"
    case .stage: "stage"
    }
  }
}

/// The digest kinds as their numbers on the wire mean them.
private func digestName(_ kind: UInt64) -> String {
  switch kind {
  case 0: "no digest"
  case 1: "crc32c"
  case 2: "xxh3"
  default: "digest kind \(kind)"
  }
}

/// `0x89abcdef`.
package func hexadecimal(_ value: UInt64) -> String {
  let digits = String(value, radix: 16)
  let width = digits.count <= 8 ? 8 : 16
  return "0x" + String(repeating: "0", count: width - digits.count) + digits
}

/// `0x0d`.
private func octet(_ value: UInt64) -> String {
  let digits = String(value, radix: 16)
  return digits.count < 2 ? "0x0" + digits : "0x" + digits
}
