public import CIngestKernel

/// A TCP connection as stages see it.
@frozen
public struct Connection: BitwiseCopyable, Sendable {
  /// The index of per-connection state; used again after the connection's end.
  public let slot: UInt32
  /// Names one connection of the receiver: from 1 up, each thread in steps of its own; never used
  /// again.
  public let serial: UInt64
  public let peer: Endpoint

  @inlinable
  public init(slot: UInt32, serial: UInt64, peer: Endpoint) {
    self.slot = slot
    self.serial = serial
    self.peer = peer
  }
}

/// An IPv4 or IPv6 address and port, as plain bytes.
@frozen
public struct Endpoint: BitwiseCopyable, Sendable {
  public var raw: ik_endpoint

  @inlinable
  public init(raw: ik_endpoint) { self.raw = raw }

  @inlinable
  public init() { raw = ik_endpoint() }
}

/// How a connection's byte stream ended.
@frozen
public enum StreamEnd: Equatable, BitwiseCopyable, Sendable {
  /// The peer finished (FIN).
  case finished
  /// The socket failed with this errno (ECONNRESET and the like).
  case failed(Int32)
  /// A stage refused the stream; the fault was reported with ``Batch/report(_:)``.
  case refused
  /// The run was stopped while the stream was open.
  case stopped
  /// Its data came through another interface queue than the engine's, which a zero-copy receive
  /// cannot take (EFAULT).
  case misplaced
  /// Bytes that the NIC did not split off into device memory, which takes no copy (ENOMEM).
  case unsplit
  /// Bytes that the NIC did not place, and for a long time no buffer to copy them into (ENOMEM).
  case starved
  /// The peer's address has sent all the bytes that it may send in a run, and went on.
  case limited
}

extension StreamEnd {
  /// Whether the peer or the network ended the stream, not this side.
  @inlinable public var isTheirs: Bool {
    switch self {
    case .finished, .failed, .misplaced, .unsplit, .starved: true
    case .refused, .stopped, .limited: false
    }
  }
}

/// A connection that was closed as soon as it was accepted, because of whom it came from.
@frozen
public struct TurnedAway: BitwiseCopyable, Sendable {
  public let peer: Endpoint
  public let reason: Reason

  public init(peer: Endpoint, reason: Reason) {
    self.peer = peer
    self.reason = reason
  }

  @frozen
  public enum Reason: UInt8, Sendable, CaseIterable {
    /// No prefix of the allow list has the peer's address.
    case notAllowed
    /// As many connections of this address are open as may be.
    case connections
    /// This address has sent all the bytes that it may send.
    case bytes
    /// Of as many addresses as are kept account of, bytes are counted already.
    case strangers
  }
}

/// Something wrong with what a connection sent, as plain words for the data path; the sentence is
/// made outside it.
@frozen
public struct Fault: Equatable, BitwiseCopyable, Sendable {
  public var kind: Kind
  /// The connection's serial number; filled in by whoever reports.
  public var connection: UInt64
  /// Which record of the stream, counted from 0.
  public var record: UInt64
  /// Bytes into the connection's stream where the record (or the bad byte) starts.
  public var offset: UInt64
  public var expected: UInt64
  public var found: UInt64

  @inlinable
  public init(_ kind: Kind, record: UInt64, offset: UInt64, expected: UInt64, found: UInt64) {
    self.kind = kind
    self.connection = 0
    self.record = record
    self.offset = offset
    self.expected = expected
    self.found = found
  }

  @frozen
  public enum Kind: UInt8, Sendable, CaseIterable {
    /// A length prefix above the bound: expected = bound, found = length.
    case recordTooLong
    /// No newline within the bound: expected = bound, found = bytes seen.
    case lineTooLong
    /// A prefix that counts itself, smaller than itself: expected = prefix bytes, found = value.
    case recordTooShort
    /// The first word of a wire header is not the magic.
    case badMagic
    /// A byte that the format fixes is another: expected and found are its values.
    case unexpectedByte
    /// Where the size of a chunk belongs stands no hexadecimal digit: found = the byte.
    case chunkSize
    /// A head or trailers without an empty line within the bound: expected = bound, found = bytes.
    case noEmptyLine
    /// A wire header of a version that this build does not know.
    case unknownFormat
    /// A record carries another kind of digest than the one to verify (0 is none), or one that this
    /// build does not know: expected and found are the kinds' numbers on the wire. Told once per
    /// connection.
    case checksumKind
    /// A wire header whose own CRC32C does not fit.
    case badHeader
    /// Wire sequence numbers are not consecutive.
    case sequence
    /// A digest does not fit.
    case checksum
    /// The stream ended inside a record: expected = bytes announced, found = bytes seen.
    case truncated
    /// The sink's reader was behind, and records of the connection were dropped as was asked for:
    /// expected = bytes that may wait, found = bytes that waited. Told once per connection.
    case dropped
    /// The sink could not write: found = errno, offset = byte up to which data is safe.
    case sink
    /// A stage of the user's found something: expected = the stage's number, found = its own code.
    case stage
  }
}
