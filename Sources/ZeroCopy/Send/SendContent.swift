/// How bytes are handed to the kernel.
@usableFromInline
package enum SendMode: Sendable, Equatable {
  /// IORING_OP_SEND: the kernel copies.
  case plain
  /// IORING_OP_SEND_ZC: pages are pinned for each send.
  case zeroCopy
  /// IORING_OP_SEND_ZC from registered buffers: pinned once.
  case zeroCopyFixed
  /// `plain` or `zeroCopyFixed`, whichever a trial on the first sends finds cheaper.
  case trial
  /// send(2) with MSG_ZEROCOPY, notifications from the error queue.
  case messageZeroCopy
}

/// What one call of ``SendContent/fill(stream:finishing:into:)`` came to.
@frozen @usableFromInline
package struct SendFill: Equatable, Sendable {
  /// Bytes written, from the start of the slot.
  @usableFromInline package var length: UInt32
  /// Records whose last byte is among them.
  @usableFromInline package var records: UInt32
  @usableFromInline package var state: State

  @frozen @usableFromInline
  package enum State: UInt8, Sendable {
    /// Bytes to send.
    case ready
    /// Nothing yet; ask again.
    case later
    /// The stream has ended.
    case ended
  }

  /// `length` is at most the slot's, which is below 4 GiB, and no record is shorter than a byte.
  @inlinable @inline(__always)
  package init(length: Int, records: Int) {
    self.length = UInt32(truncatingIfNeeded: length)
    self.records = UInt32(truncatingIfNeeded: records)
    self.state = .ready
  }

  @inlinable
  init(state: State) {
    length = 0
    records = 0
    self.state = state
  }

  @inlinable package static var later: SendFill { SendFill(state: .later) }
  @inlinable package static var ended: SendFill { SendFill(state: .ended) }
}

/// Where a sender's bytes come from, on the thread of its ring.
///
/// Everything that limits a run by amount (bytes, records, end of a file) is the content's: it says
/// ``SendFill/ended`` and is then not asked again for that stream.
@usableFromInline
package protocol SendContent: ~Copyable {
  /// Writes into each slot what will not change from send to send. Called once, before any fill.
  mutating func prepare(_ slot: UnsafeMutableRawBufferPointer)

  /// Writes the next bytes of a stream into a slot that ``prepare(_:)`` has seen. With `finishing`
  /// only what completes a record that is already partly sent may follow.
  ///
  /// - Cost: one call per send; must not allocate, lock or block for longer than 50 ms.
  mutating func fill(
    stream: Int, finishing: Bool, into slot: UnsafeMutableRawBufferPointer
  ) -> SendFill

  /// The errno with which the source failed, 0 for none. A failed source has ended.
  var failure: Int32 { get }
}

/// How a ring sends; all sizes in bytes.
@usableFromInline
package struct SendOptions: Sendable, Equatable {
  @usableFromInline package var mode: SendMode = .plain
  /// Streams of bytes in order (TCP), or independent datagrams.
  @usableFromInline package var ordered = true
  /// The most bytes of one slot.
  @usableFromInline package var length = 64 << 10
  @usableFromInline package var pool = 4 << 20
  /// Requests prepared for one enter, per stream.
  @usableFromInline package var batch = 8
  @usableFromInline package var generation = 1
  /// The content never writes into a slot after its preparation: one copy serves all slots.
  @usableFromInline package var constant = false
  /// Slots gathered into one request; 1 unless vectored.
  @usableFromInline package var gather = 1
  /// Bytes per second, 0 without limit.
  @usableFromInline package var byteRate: UInt64 = 0
  /// Stop filling after this long, in nanoseconds; 0 never.
  @usableFromInline package var duration: UInt64 = 0
  /// How long to wait for what is under way once filling has stopped.
  @usableFromInline package var drain: UInt64 = 10_000_000_000

  package init() {}
}
