import CXXHash

/// Running digests, one for each of a fixed number of slots, over bytes that come in pieces.
///
/// All memory is allocated and touched by `init`: 4 bytes a slot for CRC-32C, 576 for XXH3
/// (XXH3_createState aligns each state to 64 bytes). One thread at a time.
@safe
public struct StreamDigests: ~Copyable {
  public let kind: ChecksumKind
  public let slotCount: Int
  private let crcs: UnsafeMutablePointer<UInt32>
  private let states: UnsafeMutablePointer<OpaquePointer>

  public init(kind: ChecksumKind, slotCount: Int) {
    let crcCount = kind == .crc32c ? slotCount : 0
    let stateCount = kind == .xxh3 ? slotCount : 0
    unsafe crcs = UnsafeMutablePointer<UInt32>.allocate(capacity: max(crcCount, 1))
    unsafe crcs.initialize(repeating: 0, count: max(crcCount, 1))
    unsafe states = UnsafeMutablePointer<OpaquePointer>.allocate(capacity: max(stateCount, 1))
    for index in 0..<stateCount {
      // Like the allocations above, this ends the process when there is no memory at all.
      guard let state = unsafe XXH3_createState() else {
        fatalError("no memory for \(slotCount) XXH3 states: allow fewer connections")
      }
      unsafe XXH3_64bits_reset(state)
      unsafe (states + index).initialize(to: state)
    }
    self.kind = kind
    self.slotCount = slotCount
  }

  deinit {
    if kind == .xxh3 {
      for index in 0..<slotCount { unsafe XXH3_freeState(states[index]) }
    }
    unsafe states.deallocate()
    unsafe crcs.deallocate()
  }

  /// Forgets what the slot has seen.
  public mutating func reset(_ slot: Int) {
    checkSlot(slot)
    switch kind {
    case .none: break
    case .crc32c: unsafe crcs[slot] = 0
    case .xxh3: unsafe XXH3_64bits_reset(states[slot])
    }
  }

  /// Adds bytes to the slot's digest.
  ///
  /// - Cost: one call of the digest's library.
  public mutating func add(_ bytes: RawSpan, to slot: Int) {
    checkSlot(slot)
    switch kind {
    case .none: break
    case .crc32c:
      unsafe crcs[slot] = Digest.crc32c(bytes, continuing: crcs[slot])
    case .xxh3:
      unsafe bytes.withUnsafeBytes {
        // XXH_ERROR comes of a null state or input only.
        _ = unsafe XXH3_64bits_update(states[slot], $0.baseAddress, $0.count)
      }
    }
  }

  /// The digest of what the slot has seen since its reset; more can be added after.
  public func value(_ slot: Int) -> UInt64 {
    checkSlot(slot)
    switch kind {
    case .none: return 0
    case .crc32c: return unsafe UInt64(crcs[slot])
    case .xxh3: return unsafe XXH3_64bits_digest(states[slot])
    }
  }

  private func checkSlot(_ slot: Int) {
    if slot < 0 || slot >= slotCount {
      fatalError("invariant violated: digest slot \(slot) is not below \(slotCount)")
    }
  }
}
