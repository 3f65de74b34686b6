public import CIngestKernel
import Synchronization

/// A bounded queue between exactly two threads: one writes, the other reads.
///
/// Make it at start, take the two ends, give each to its thread. Both ends keep the memory alive;
/// it goes with the last of the three. Neither end waits: what to do when the queue is full or
/// empty is for the caller to say. Not for several writers or several readers: each end can be
/// taken once, and an end cannot be copied.
///
/// - Cost: one allocation at init, none later; no lock, no reference count per element.
public final class SPSCRing<Element: BitwiseCopyable & Sendable>: Sendable {
  /// How many elements fit; a power of two.
  public let capacity: Int
  @safe private let memory: SPSCMemory
  private let ends = Atomic<UInt32>(0)

  /// `capacity` must be a power of two, at most 2^30.
  public init(capacity: Int) {
    invariant(
      capacity > 0 && capacity <= 1 << 30 && capacity & (capacity - 1) == 0,
      "the size of a queue between threads is a power of two")
    self.capacity = capacity
    self.memory = SPSCMemory(
      elementBytes: capacity * MemoryLayout<Element>.stride,
      alignment: MemoryLayout<Element>.alignment)
  }

  /// The writing end. Once per queue.
  public func takeProducer() -> SPSCProducer<Element> {
    claim(1)
    return unsafe SPSCProducer(
      memory: memory, words: memory.words,
      elements: memory.elements.assumingMemoryBound(to: Element.self), capacity: UInt32(capacity))
  }

  /// The reading end. Once per queue.
  public func takeConsumer() -> SPSCConsumer<Element> {
    claim(2)
    return unsafe SPSCConsumer(
      memory: memory, words: memory.words,
      elements: memory.elements.assumingMemoryBound(to: Element.self), capacity: UInt32(capacity))
  }

  /// Elements in the queue, for whoever is neither end: exact when neither end moves.
  public var count: Int {
    // The head first: it never passes the tail, so the difference is never below zero.
    let head = unsafe ik_load_acquire_u32(&memory.words.pointee.head)
    return Int(unsafe ik_load_acquire_u32(&memory.words.pointee.tail) &- head)
  }

  private func claim(_ end: UInt32) {
    // Relaxed: the exchange only counts; the ends themselves are handed over by whoever starts the
    // threads, which orders memory.
    let before = ends.bitwiseOr(end, ordering: .relaxed).oldValue
    invariant(before & end == 0, "an end of a queue between threads was taken twice")
  }
}

/// The two words that the threads share, each on cache lines of its own: a pair of lines, since
/// the adjacent-line prefetcher of x86 fetches two. Offsets are checked by a test, because Swift
/// imports no over-aligned C struct.
@frozen @usableFromInline
struct SPSCWords {
  /// Elements written since the start, modulo 2^32. The producer's.
  @usableFromInline var tail: UInt32
  @usableFromInline var padAfterTail: [31 of UInt32]
  /// Elements read since the start, modulo 2^32. The consumer's.
  @usableFromInline var head: UInt32
  @usableFromInline var padAfterHead: [31 of UInt32]
}

/// The memory of a queue: the shared words, then the elements.
@safe @usableFromInline
final class SPSCMemory: @unchecked Sendable {
  // Sendable: the addresses never change; who may touch what behind them is the queue's protocol.
  @usableFromInline let words: UnsafeMutablePointer<SPSCWords>
  @usableFromInline let elements: UnsafeMutableRawPointer

  init(elementBytes: Int, alignment: Int) {
    let header = MemoryLayout<SPSCWords>.stride
    invariant(alignment <= header, "an element needs no more alignment than the shared words have")
    let start = UnsafeMutableRawPointer.allocate(
      byteCount: header + elementBytes, alignment: header / 2)
    unsafe words = start.bindMemory(to: SPSCWords.self, capacity: 1)
    unsafe words.initialize(
      to: SPSCWords(
        tail: 0, padAfterTail: .init(repeating: 0), head: 0, padAfterHead: .init(repeating: 0)))
    unsafe elements = start + header
  }

  deinit { unsafe words.deallocate() }
}

/// The writing end of a ``SPSCRing``. One thread at a time.
@frozen @safe
public struct SPSCProducer<Element: BitwiseCopyable & Sendable>: ~Copyable, @unchecked Sendable {
  // Sendable: it may move to another thread, and being noncopyable is on one at a time.
  let memory: SPSCMemory
  @usableFromInline let words: UnsafeMutablePointer<SPSCWords>
  @usableFromInline let elements: UnsafeMutablePointer<Element>
  @usableFromInline let capacity: UInt32
  @usableFromInline var position: UInt32
  /// The head as last read: the shared word is read again only when the queue looks full.
  @usableFromInline var seenHead: UInt32
  /// Elements written behind the tail, which the reader does not see yet.
  @usableFromInline var appended: UInt32 = 0

  init(
    memory: SPSCMemory, words: UnsafeMutablePointer<SPSCWords>,
    elements: UnsafeMutablePointer<Element>, capacity: UInt32
  ) {
    self.memory = memory
    unsafe self.words = words
    unsafe self.elements = elements
    self.capacity = capacity
    position = 0
    seenHead = 0
  }

  /// Elements that may be pushed now; the reader can only make it more.
  @inlinable
  public mutating func room() -> Int {
    // Acquire, with the reader's release of the head: its reads of the slots come before our
    // writes to them.
    seenHead = unsafe ik_load_acquire_u32(&words.pointee.head)
    return Int(capacity &- (position &- seenHead))
  }

  /// Writes one element; false when the queue is full.
  ///
  /// - Cost: one store shared with the reader.
  @inlinable @inline(__always)
  public mutating func push(_ element: Element) -> Bool {
    if position &- seenHead == capacity, room() == 0 { return false }
    unsafe elements[Int(position & (capacity &- 1))] = element
    publish(1)
    return true
  }

  /// Writes as many as fit, in order, and makes them visible together. Returns how many.
  @inlinable
  public mutating func push(_ batch: borrowing Span<Element>) -> Int {
    var free = Int(capacity &- (position &- seenHead))
    if free < batch.count { free = room() }
    let count = min(free, batch.count)
    for index in 0..<count {
      unsafe elements[Int((position &+ UInt32(index)) & (capacity &- 1))] = batch[index]
    }
    publish(UInt32(count))
    return count
  }

  /// Writes one element that the reader sees after the next ``flush()``; false when the queue is
  /// full. Do not mix with ``push(_:)-(Element)`` in between.
  ///
  /// - Cost: no store that the reader looks at.
  @inlinable @inline(__always)
  public mutating func append(_ element: Element) -> Bool {
    let next = position &+ appended
    if next &- seenHead == capacity, room() == Int(appended) { return false }
    unsafe elements[Int(next & (capacity &- 1))] = element
    appended &+= 1
    return true
  }

  /// Shows the reader what was appended. Returns how much that was.
  @inlinable @inline(__always) @discardableResult
  public mutating func flush() -> UInt32 {
    let count = appended
    if count != 0 {
      appended = 0
      publish(count)
    }
    return count
  }

  @inlinable @inline(__always)
  mutating func publish(_ count: UInt32) {
    position &+= count
    // Release: the elements are written before the reader can see the tail that covers them.
    unsafe ik_store_release_u32(&words.pointee.tail, position)
  }
}

/// The reading end of a ``SPSCRing``. One thread at a time.
@frozen @safe
public struct SPSCConsumer<Element: BitwiseCopyable & Sendable>: ~Copyable, @unchecked Sendable {
  let memory: SPSCMemory
  @usableFromInline let words: UnsafeMutablePointer<SPSCWords>
  @usableFromInline let elements: UnsafeMutablePointer<Element>
  @usableFromInline let mask: UInt32
  @usableFromInline var position: UInt32
  /// The tail as last read: the shared word is read again only when the queue looks empty.
  @usableFromInline var seenTail: UInt32

  init(
    memory: SPSCMemory, words: UnsafeMutablePointer<SPSCWords>,
    elements: UnsafeMutablePointer<Element>, capacity: UInt32
  ) {
    self.memory = memory
    unsafe self.words = words
    unsafe self.elements = elements
    mask = capacity - 1
    position = 0
    seenTail = 0
  }

  /// Elements ready to be read; the writer can only make it more.
  @inlinable
  public mutating func available() -> Int {
    // Acquire, with the writer's release of the tail: the elements it covers are readable.
    seenTail = unsafe ik_load_acquire_u32(&words.pointee.tail)
    return Int(seenTail &- position)
  }

  /// Reads one element; nil when the queue is empty.
  @inlinable @inline(__always)
  public mutating func pop() -> Element? {
    if position == seenTail, available() == 0 { return nil }
    let element = unsafe elements[Int(position & mask)]
    retire(1)
    return element
  }

  /// The element so many places behind the next one, which stays; nil where none was seen yet.
  ///
  /// - Cost: no look at the shared words.
  @inlinable @inline(__always)
  public func peek(_ behind: UInt32) -> Element? {
    guard seenTail &- position > behind else { return nil }
    return unsafe elements[Int((position &+ behind) & mask)]
  }

  /// Reads at most `limit` elements, oldest first, and gives their places back together. Returns
  /// how many there were.
  @inlinable
  public mutating func drain(limit: Int = .max, _ body: (Element) throws -> Void) rethrows -> Int {
    let count = min(available(), limit)
    var taken: UInt32 = 0
    // Also when body throws: what it was given has been read.
    defer { retire(taken) }
    while taken < count {
      let element = unsafe elements[Int((position &+ taken) & mask)]
      taken &+= 1
      try body(element)
    }
    return count
  }

  @inlinable @inline(__always)
  mutating func retire(_ count: UInt32) {
    position &+= count
    // Release: our reads of the slots come before the writer's next use of them.
    unsafe ik_store_release_u32(&words.pointee.head, position)
  }
}
