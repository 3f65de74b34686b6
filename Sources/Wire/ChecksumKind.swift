/// The digests that a wire record can carry; the raw values are the wire's.
@frozen
public enum ChecksumKind: UInt8, Sendable, CaseIterable {
  case none = 0
  /// CRC-32C (Castagnoli, reflected, inverted at both ends), as iSCSI and ext4 use it.
  case crc32c = 1
  /// XXH3 with 64 bits, seed 0, default secret.
  case xxh3 = 2

  /// As spelled on the command line.
  public var name: String {
    switch self {
    case .none: return "none"
    case .crc32c: return "crc32c"
    case .xxh3: return "xxh3"
    }
  }

  /// Hexadecimal digits of a digest of this kind.
  public var digits: Int {
    switch self {
    case .none: return 0
    case .crc32c: return 8
    case .xxh3: return 16
    }
  }
}
