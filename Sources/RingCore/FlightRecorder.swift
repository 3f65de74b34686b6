public import CIngestKernel

/// Writes what a thread does into a ring of events that never fills: the newest stay.
///
/// The memory is somebody else's, who keeps it mapped for as long as the thread runs. One writer,
/// no lock, no allocation, no clock of its own. Whoever reads the ring from outside looks at the
/// count of events before and after, and takes what was not written over in between.
///
/// - Cost: a batch's completions are copied as a whole, 4 instructions each in batches of 64 and 8
///   in batches of 8; any other event is four stores. Off it is one test a batch.
@frozen @safe
public struct FlightRecorder: BitwiseCopyable, @unchecked Sendable {
  // Sendable: plain addresses, handed to the one thread that writes.
  @usableFromInline let cells: UnsafeMutablePointer<FlightEvent>?
  @usableFromInline let mask: UInt64
  /// The count that readers see.
  @usableFromInline let published: UnsafeMutablePointer<UInt64>?
  /// Events since the start.
  @usableFromInline package var written: UInt64 = 0

  /// Records nothing.
  public init() {
    unsafe cells = nil
    mask = 0
    unsafe published = nil
  }

  /// `cells` has room for `capacity` events, a power of two; `published` is the word that counts
  /// them. Both outlive every use.
  @unsafe
  public init(
    unsafeCells cells: UnsafeMutablePointer<FlightEvent>, capacity: Int,
    published: UnsafeMutablePointer<UInt64>
  ) {
    invariant(
      capacity > 0 && capacity & (capacity - 1) == 0, "a flight recorder's size is a power of two")
    unsafe self.cells = cells
    mask = UInt64(capacity) - 1
    unsafe self.published = published
  }

  @inlinable public var isOn: Bool { unsafe cells != nil }

  /// Records one event.
  @inline(never)
  public mutating func append(_ event: FlightEvent) {
    guard let cells = unsafe cells, let published = unsafe published else { return }
    // The mask keeps the index inside the cells.
    unsafe cells[Int(truncatingIfNeeded: written & mask)] = event
    written &+= 1
    unsafe ik_store_release_u64(published, written)
  }

  /// Records the next `count` completions of a queue as they are; of more than there are cells, the
  /// newest. `head` comes before them.
  ///
  /// - Cost: some 25 instructions, and memcpy(3) of 32 bytes for each.
  @inlinable @inline(__always)
  public mutating func append(_ head: FlightEvent, _ queue: CompletionRing, count: UInt32) {
    guard let cells = unsafe cells, let published = unsafe published else { return }
    let from = UInt64(queue.position & queue.mask)
    let to = written & mask
    let bytes = UInt64(count) &* 32
    // Whether either ring begins again on the way; the head takes a cell.
    guard from &+ UInt64(count) <= UInt64(queue.mask) &+ 1, to &+ UInt64(count) <= mask else {
      appendWrapped(head, queue, count: count)
      return
    }
    let cell = unsafe cells + Int(truncatingIfNeeded: to)
    unsafe cell.pointee = head
    // Entries of both are 32 bytes; what the kernel posted is read before it is given back.
    unsafe UnsafeMutableRawPointer(cell + 1).copyMemory(
      from: queue.entries + Int(truncatingIfNeeded: from),
      byteCount: Int(truncatingIfNeeded: bytes))
    written &+= UInt64(count) &+ 1
    unsafe ik_store_release_u64(published, written)
  }

  /// The same where a ring begins again: run by run.
  @inline(never) @usableFromInline
  mutating func appendWrapped(_ head: FlightEvent, _ queue: CompletionRing, count: UInt32) {
    guard let cells = unsafe cells, let published = unsafe published else { return }
    unsafe cells[Int(truncatingIfNeeded: written & mask)] = head
    written &+= 1
    var left = UInt64(count)
    var position = queue.position
    if left > mask {
      position &+= UInt32(truncatingIfNeeded: left &- mask)
      written &+= left &- mask
      left = mask
    }
    while left != 0 {
      let from = UInt64(position & queue.mask)
      let to = written & mask
      // Up to where one of the two rings begins again.
      let run = min(left, UInt64(queue.mask) &+ 1 &- from, mask &+ 1 &- to)
      unsafe UnsafeMutableRawPointer(cells + Int(truncatingIfNeeded: to)).copyMemory(
        from: queue.entries + Int(truncatingIfNeeded: from),
        byteCount: Int(truncatingIfNeeded: run &* 32))
      left &-= run
      written &+= run
      position &+= UInt32(truncatingIfNeeded: run)
    }
    unsafe ik_store_release_u64(published, written)
  }

  /// Records a text under a note, in as many cells as it needs.
  public mutating func append(_ note: FlightNote, now: UInt64, text: String) {
    guard isOn else { return }
    // A sentence of this program is never as long.
    let bytes = Array(text.utf8.prefix(2048))
    append(FlightEvent(.note, index: note.rawValue, now, UInt64(bytes.count)))
    var start = 0
    while start < bytes.count {
      var words: [UInt64] = [0, 0, 0]
      for (index, byte) in bytes[start..<min(start + 24, bytes.count)].enumerated() {
        words[index / 8] |= UInt64(byte) << UInt64(index % 8 * 8)
      }
      append(FlightEvent(.text, words[0], words[1], words[2]))
      start += 24
    }
  }
}

extension Batch {
  /// Records which held leases came back.
  @inline(never)
  package func recordReturns(in recorder: inout FlightRecorder) {
    guard recorder.isOn else { return }
    var index = 0
    while index < returnCount {
      let count = min(3, returnCount - index)
      recorder.append(
        FlightEvent(
          .gaveBack, detail: UInt32(count), unsafe returns[index],
          count > 1 ? unsafe returns[index + 1] : 0, count > 2 ? unsafe returns[index + 2] : 0))
      index += 3
    }
  }
}
