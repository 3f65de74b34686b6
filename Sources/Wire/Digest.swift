import CISAL
import CXXHash

/// Digests over bytes that lie together. Both libraries pick the CPU's instructions at run time
/// or when they were built; no call allocates.
public enum Digest {
  /// CRC-32C of `bytes`, continuing one that was finished: with `a` and `b` two halves of `ab`,
  /// `crc32c(b, continuing: crc32c(a)) == crc32c(ab)`. 0 is the digest of no bytes.
  ///
  /// - Cost: one call of ISA-L's crc32_iscsi; about 0.1 ns per byte with SSE 4.2 and PCLMULQDQ.
  public static func crc32c(_ bytes: RawSpan, continuing crc: UInt32 = 0) -> UInt32 {
    unsafe bytes.withUnsafeBytes { unsafe crc32c(unsafe: $0, continuing: crc) }
  }

  /// The same over a buffer of plain memory, which must be readable during the call.
  @unsafe
  public static func crc32c(
    unsafe bytes: UnsafeRawBufferPointer, continuing crc: UInt32 = 0
  ) -> UInt32 {
    guard let base = bytes.baseAddress else { return crc }
    // It only reads, though its pointer is not const.
    let start = unsafe UnsafeMutableRawPointer(mutating: base)
      .assumingMemoryBound(to: UInt8.self)
    guard bytes.count <= longestCall else {
      return unsafe crc32c(start, bytes.count, crc, call: longestCall)
    }
    // crc32_iscsi inverts neither its seed nor its result.
    return ~(unsafe crc32_iscsi(start, Int32(truncatingIfNeeded: bytes.count), ~crc))
  }

  /// For more than one call takes, whose length is an int.
  @inline(never) @unsafe
  static func crc32c(
    _ start: UnsafeMutablePointer<UInt8>, _ count: Int, _ crc: UInt32, call longest: Int
  ) -> UInt32 {
    var state = ~crc
    var done = 0
    while done < count {
      let part = min(count - done, longest)
      state = unsafe crc32_iscsi(start + done, Int32(truncatingIfNeeded: part), state)
      done += part
    }
    return ~state
  }

  /// XXH3-64 of `bytes`.
  ///
  /// - Cost: one call of libxxhash's XXH3_64bits; about 0.1 ns per byte.
  public static func xxh3(_ bytes: RawSpan) -> UInt64 {
    unsafe bytes.withUnsafeBytes { unsafe xxh3(unsafe: $0) }
  }

  /// The same over a buffer of plain memory, which must be readable during the call.
  @unsafe
  public static func xxh3(unsafe bytes: UnsafeRawBufferPointer) -> UInt64 {
    unsafe XXH3_64bits(bytes.baseAddress, bytes.count)
  }

  /// The digest of `bytes` as a wire header carries it: 0 for `none`, a CRC in the low 32 bits.
  @inlinable @inline(__always)
  public static func of(_ bytes: RawSpan, _ kind: ChecksumKind) -> UInt64 {
    switch kind {
    case .none: return 0
    case .crc32c: return UInt64(crc32c(bytes))
    case .xxh3: return xxh3(bytes)
    }
  }

  /// A multiple of 64 that an int holds.
  static let longestCall = 1 << 30
}
