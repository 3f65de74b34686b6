package import Ingest
package import RingCore

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

  package init(_ fault: Fault, peer: String?) {
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
    text = "\(place): \(fault.sentence)"
  }
}

extension Fault {
  /// What is wrong and what it means, without the place.
  package var sentence: String {
    switch kind {
    case .recordTooLong:
      "the length prefix says \(found) bytes, the bound is \(expected): "
        + "not length-prefixed, of the other byte order, or --parse needs a larger max"
    case .lineTooLong:
      "no newline within \(expected) bytes: not lines, or --parse needs a larger max"
    case .recordTooShort:
      "the length prefix counts itself and says \(found), its own size is \(expected): "
        + "the prefix most likely does not count itself"
    case .badMagic:
      "a record starts with \(hexadecimal(found)) where \(hexadecimal(expected)) belongs: "
        + (record == 0
          ? "this peer does not send wire records" : "the stream was damaged on the way")
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
        + "the sender stopped or died in the middle"
    case .sink:
      "the sink cannot write: \(errorText(Int32(truncatingIfNeeded: found))); "
        + "data is safe up to byte \(offset)"
    }
  }

  /// What this fault makes of the run.
  package var severity: IngestError.Kind {
    switch kind {
    case .checksum, .checksumKind, .sequence, .badHeader: .verificationFailed
    // Damage in the middle of a good stream, against a peer that never spoke the format.
    case .badMagic: record == 0 ? .peerFailed : .verificationFailed
    case .recordTooLong, .lineTooLong, .recordTooShort, .unknownFormat, .truncated: .peerFailed
    case .sink: .failed
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
    case .unknownFormat: "unknown-format"
    case .checksumKind: "checksum-kind"
    case .badHeader: "bad-header"
    case .sequence: "sequence"
    case .checksum: "checksum"
    case .truncated: "truncated"
    case .sink: "sink"
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
