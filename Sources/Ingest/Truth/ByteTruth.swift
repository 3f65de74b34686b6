import ZeroCopy

/// How received bytes came into the area: each is in exactly one class, and what nothing proves is
/// ``unknown``, never zero-copy.
public struct ByteTruth: Codable, Equatable, Sendable {
  /// Placed by the NIC; no CPU touched them on their way into the area.
  public var zeroCopy: UInt64 = 0
  /// Copied by zero-copy receive out of pages that are not the area's: what came by another queue
  /// or interface (io_uring/zcrx.c, io_zcrx_copy_frag).
  public var copiedFragment: UInt64 = 0
  /// Copied by zero-copy receive out of the linear part of packets, which header split did not
  /// split. No count of the kernel has them (io_uring/zcrx.c, io_zcrx_recv_skb).
  public var copiedLinear: UInt64 = 0
  /// Copied by an ordinary receive: what engine `copy` does with all, and what zero-copy receive
  /// does with bytes that it has nothing to copy into.
  public var copiedReceive: UInt64 = 0
  public var unknown: UInt64 = 0

  public init() {}

  /// All classes together: the received bytes.
  public var total: UInt64 { zeroCopy + copied + unknown }
  /// What was certainly copied.
  public var copied: UInt64 { copiedFragment + copiedLinear + copiedReceive }
  /// The share of bytes that are not known to be zero-copy, 0 to 1.
  public var shareNotZeroCopy: Double {
    total == 0 ? 0 : Double(total - zeroCopy) / Double(total)
  }

  /// What came since `earlier`. A class may shrink when later evidence contradicts it by a few
  /// packets; then it counts as none.
  public func since(_ earlier: ByteTruth) -> ByteTruth {
    var part = ByteTruth()
    part.zeroCopy = zeroCopy - min(earlier.zeroCopy, zeroCopy)
    part.copiedFragment = copiedFragment - min(earlier.copiedFragment, copiedFragment)
    part.copiedLinear = copiedLinear - min(earlier.copiedLinear, copiedLinear)
    part.copiedReceive = copiedReceive - min(earlier.copiedReceive, copiedReceive)
    part.unknown = unknown - min(earlier.unknown, unknown)
    return part
  }
}

/// What is known of where received bytes lie.
struct ByteEvidence: Equatable, Sendable {
  var source = ReceiveSource.socket
  var bytes: UInt64 = 0
  /// Those of them that were received by recv(2).
  var salvaged: UInt64 = 0
  /// Bytes that the kernel counted as copied out of fragments; nil where it does not count (before
  /// Linux 7.2).
  var fragment: UInt64?
  /// Bytes of completions that no copy can have made, by where in a buffer they lie.
  var placed: UInt64 = 0
  /// Bytes of payload that the NIC says it did not split, read after `bytes`: at most so many lay
  /// in the linear part of packets. Nil where the NIC does not say.
  var unsplit: UInt64?
  /// Bytes of payload that it says it did split, read after `bytes`: at most so many were placed.
  var split: UInt64?

  /// The narrowest classes that the evidence allows.
  var truth: ByteTruth {
    var truth = ByteTruth()
    switch source {
    case .socket: truth.copiedReceive = bytes
    case .deviceless:
      // Everything is copied: what did not lie in fragments lay in the linear part.
      guard let fragment else {
        truth.unknown = bytes
        break
      }
      truth.copiedReceive = salvaged
      truth.copiedFragment = min(fragment, bytes - salvaged)
      truth.copiedLinear = bytes - salvaged - truth.copiedFragment
    case .unreachable:
      truth.copiedReceive = salvaged
      truth.zeroCopy = bytes - salvaged
    case .queue:
      // Without the kernel's count any completion may be a copy that does not prove the contrary.
      truth.copiedReceive = salvaged
      truth.copiedFragment = min(fragment ?? 0, bytes - salvaged)
      let rest = bytes - salvaged - truth.copiedFragment
      var zeroCopy = placed
      if fragment != nil, let unsplit { zeroCopy = max(zeroCopy, rest - min(unsplit, rest)) }
      truth.zeroCopy = min(zeroCopy, rest)
      if fragment != nil, let split {
        truth.copiedLinear = min(rest - min(split, rest), rest - truth.zeroCopy)
      }
      truth.unknown = rest - truth.zeroCopy - truth.copiedLinear
    }
    return truth
  }

  /// Adds what another thread knows.
  mutating func add(_ other: ByteEvidence) {
    bytes += other.bytes
    salvaged += other.salvaged
    placed += other.placed
    if let more = other.fragment { fragment = (fragment ?? 0) + more }
  }
}

extension ByteEvidence {
  /// What all threads know, and what the NIC counts: `meter` is read after their bytes, so that
  /// what they came in has been counted.
  init(_ threads: [EngineCounters], _ meter: TruthMeter?) {
    self.init()
    if let first = threads.first { self = ByteEvidence(first) }
    for one in threads.dropFirst() { add(ByteEvidence(one)) }
    (unsplit, split) = meter?.read() ?? (nil, nil)
  }

  init(_ counters: EngineCounters) {
    source = counters.source
    bytes = counters.bytes
    salvaged = counters.salvagedBytes
    placed = counters.placedBytes
    fragment = counters.countsCopies == 0 ? nil : counters.copiedFragmentBytes
  }
}

extension CopyLimit {
  /// Whether these bytes are within it.
  public func allows(_ truth: ByteTruth) -> Bool { truth.shareNotZeroCopy <= share }
}
