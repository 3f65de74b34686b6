import CISAL

/// The header of a wire record: what `ingest-send` writes and `--parse wire` reads.
///
/// ## The format
///
/// A connection's stream is records one after the other, with nothing before, between or after
/// them. A record is a header of 32 bytes and then its payload. All numbers are little-endian;
/// nothing is padded or aligned.
///
/// | offset | size | field |
/// | ---: | ---: | --- |
/// | 0 | 4 | magic: the bytes `I` `G` `W` `1` |
/// | 4 | 1 | version: 1 |
/// | 5 | 1 | checksum kind: 0 none, 1 CRC-32C, 2 XXH3-64 |
/// | 6 | 2 | flags, see below |
/// | 8 | 4 | payload length in bytes, 0 is allowed |
/// | 12 | 4 | CRC-32C over the header's bytes 0..<12 followed by its bytes 16..<32 |
/// | 16 | 8 | sequence: 0 in a connection's first record, one more in each that follows |
/// | 24 | 8 | digest of the payload: 0 for kind 0; a CRC-32C in the low 32 bits, the others 0 |
///
/// CRC-32C is the Castagnoli CRC as iSCSI uses it: `"123456789"` gives `e3069283`. XXH3-64 has
/// seed 0.
///
/// Flags: bit 0 says that the payload is the pattern (``Pattern``) with the seed
/// `(salt << 56) ^ sequence`, starting at position 0. Bits 8 to 15 are that salt, which a sender
/// makes differ between its connections, so that bytes that come from another connection are
/// noticed. Bits 1 to 7 are written as 0 and not looked at.
///
/// Later versions keep the header's size, the magic, the version and the header's CRC where they
/// are; so a reader of version 1 tells a damaged header from one that it does not know.
@frozen
public struct WireHeader: Equatable, BitwiseCopyable, Sendable {
  public var kind: ChecksumKind
  public var flags: Flags
  /// Bytes of payload after the header.
  public var length: UInt32
  public var sequence: UInt64
  /// The payload's digest as ``Digest/of(_:_:)`` gives it.
  public var digest: UInt64

  @inlinable
  public init(
    kind: ChecksumKind = .none, flags: Flags = [], length: UInt32, sequence: UInt64,
    digest: UInt64 = 0
  ) {
    self.kind = kind
    self.flags = flags
    self.length = length
    self.sequence = sequence
    self.digest = digest
  }

  /// Bytes of a header.
  @inlinable public static var size: Int { 32 }
  /// `IGW1`, read as a little-endian number.
  @inlinable public static var magic: UInt32 { 0x3157_4749 }
  @inlinable public static var version: UInt8 { 1 }

  @frozen
  public struct Flags: OptionSet, BitwiseCopyable, Sendable {
    public let rawValue: UInt16
    @inlinable public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// The payload is the pattern.
    @inlinable public static var pattern: Flags { Flags(rawValue: 1) }
    /// The payload is the pattern, salted so that connections differ.
    @inlinable public static func pattern(salt: UInt8) -> Flags {
      Flags(rawValue: 1 | UInt16(salt) &<< 8)
    }
  }

  /// The seed of the payload's pattern; nil when the payload is something else.
  @inlinable public var patternSeed: UInt64? {
    guard flags.contains(.pattern) else { return nil }
    return (UInt64(flags.rawValue &>> 8) &<< 56) ^ sequence
  }

  /// What is wrong with 32 bytes that should be a header.
  @frozen
  public enum Failure: Error, Equatable, BitwiseCopyable, Sendable {
    /// The first word is not the magic.
    case magic(found: UInt32)
    /// The header's CRC: what its bytes give, and what it says.
    case damaged(computed: UInt32, stated: UInt32)
    case version(UInt8)
    case checksumKind(UInt8)
  }
}

extension WireHeader {
  /// Reads the header at `start` of `bytes`, which holds at least 32 bytes from there.
  ///
  /// - Cost: the CRC of 28 bytes, which is about 20 instructions, and as many comparisons.
  public init(decoding bytes: RawSpan, at start: Int) throws(Failure) {
    // Integers, checked against the span's end.
    let words = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: start, as: Words.self)
    let magic = UInt32(truncatingIfNeeded: words.first)
    guard magic == WireHeader.magic else { throw .magic(found: magic) }
    let computed = WireHeader.checksum(of: words)
    guard computed == words.stated else {
      throw .damaged(computed: computed, stated: words.stated)
    }
    let version = UInt8(truncatingIfNeeded: words.first &>> 32)
    guard version == WireHeader.version else { throw .version(version) }
    guard let kind = ChecksumKind(rawValue: words.kind) else { throw .checksumKind(words.kind) }
    self.init(words, kind)
  }

  /// The same for a header that is sound, and nil for every other one: without a word about why,
  /// short enough to be part of its caller.
  ///
  /// - Cost: one call for the CRC, about 40 instructions in all.
  @inlinable @inline(__always)
  public init?(sound bytes: RawSpan, at start: Int) {
    let words = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: start, as: Words.self)
    guard words.first & 0xff_ffff_ffff == WireHeader.opening,
      let kind = ChecksumKind(rawValue: words.kind),
      WireHeader.checksum(of: words) == words.stated
    else { return nil }
    self.init(words, kind)
  }

  /// Magic and version, as a header begins.
  @inlinable static var opening: UInt64 { UInt64(magic) | UInt64(version) &<< 32 }

  /// Of words that say this kind.
  @inlinable @inline(__always)
  init(_ words: Words, _ kind: ChecksumKind) {
    self.kind = kind
    flags = Flags(rawValue: UInt16(truncatingIfNeeded: words.first &>> 48))
    length = UInt32(truncatingIfNeeded: words.second)
    sequence = words.third
    digest = words.fourth
  }

  /// Writes the header, CRC included, to 32 bytes at `memory`, whatever its alignment.
  @unsafe
  public func encode(unsafeInto memory: UnsafeMutableRawPointer) {
    let kinds = UInt64(WireHeader.version) | UInt64(kind.rawValue) &<< 8
    var words = Words(
      first: UInt64(WireHeader.magic) | kinds &<< 32 | UInt64(flags.rawValue) &<< 48,
      second: UInt64(length), third: sequence, fourth: digest)
    words.second |= UInt64(WireHeader.checksum(of: words)) &<< 32
    unsafe memory.storeBytes(of: words, as: Words.self)
  }

  /// Writes the header to the 32 bytes at `start` of `bytes`; they must be there.
  public func encode(into bytes: inout MutableRawSpan, at start: Int = 0) {
    unsafe bytes.withUnsafeMutableBytes { buffer in
      guard start >= 0, start <= buffer.count - WireHeader.size, let base = buffer.baseAddress
      else { fatalError("invariant violated: a wire header needs 32 bytes") }
      unsafe encode(unsafeInto: base + start)
    }
  }

  /// A header as it lies in memory.
  @frozen @usableFromInline
  struct Words: BitwiseCopyable {
    @usableFromInline var first, second, third, fourth: UInt64

    @inlinable
    init(first: UInt64, second: UInt64, third: UInt64, fourth: UInt64) {
      self.first = first
      self.second = second
      self.third = third
      self.fourth = fourth
    }

    /// The CRC-32C that the header states, and its checksum kind.
    @inlinable var stated: UInt32 { UInt32(truncatingIfNeeded: second &>> 32) }
    @inlinable var kind: UInt8 { UInt8(truncatingIfNeeded: first &>> 40) }

    /// The 28 bytes that the CRC covers, joined, and 4 zeroes.
    var covered: (UInt64, UInt64, UInt64, UInt64) {
      (
        first, second & 0xffff_ffff | third &<< 32, third &>> 32 | fourth &<< 32, fourth &>> 32
      )
    }
  }

  /// The CRC-32C that a header should state.
  @usableFromInline
  static func checksum(of words: Words) -> UInt32 {
    let covered = words.covered
    if cisal_has_crc32c() {
      return cisal_crc32c_28(
        covered.0, covered.1, covered.2, UInt32(truncatingIfNeeded: covered.3))
    }
    return checksumInMemory(of: words)
  }

  /// The same by ISA-L, for processors without an instruction for it.
  static func checksumInMemory(of words: Words) -> UInt32 {
    unsafe withUnsafeBytes(of: words.covered) { bytes in
      unsafe Digest.crc32c(
        unsafe: UnsafeRawBufferPointer(start: bytes.baseAddress, count: size - 4))
    }
  }
}

#if _endian(big)
  #error("the wire format is read and written as it lies in memory of a little-endian machine")
#endif
