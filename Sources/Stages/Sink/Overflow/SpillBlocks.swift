import CIngestKernel
import Glibc

/// Bytes of many streams that wait, each first in, first out, in one file without a name: on disk,
/// or in memory (a memfd). The file is cut into blocks; a stream has a chain of them.
///
/// - Cost: a pwrite(2) to put bytes in; a pread(2) and a send for each 64 KiB that leave. Memory:
///   8 B for each of at most 131072 blocks. All of the file is given back to the file system when
///   nothing waits.
@safe
struct SpillBlocks: ~Copyable {
  /// What one stream has in the file.
  struct Chain: BitwiseCopyable {
    fileprivate var first = noIndex
    fileprivate var last = noIndex
    /// Positions in the stream since its chain was last empty: what is before `head` has left.
    fileprivate var head = 0
    fileprivate var tail = 0

    var isEmpty: Bool { head == tail }
    var count: Int { tail - head }
  }

  private let descriptor: Int32
  private let scratch: UnsafeMutableRawPointer
  private let blockSize: Int
  /// The index of each block that follows another in its chain.
  private var next: SlotPool<UInt32>
  /// Blocks that may be taken for bytes that could also be refused; as many again are kept for
  /// those that could not.
  private let limit: Int
  /// The errno with which putting bytes in has failed; then no more is taken until all is empty.
  private(set) var failure: Int32 = 0

  private static let chunk = 64 << 10
  private static let mostBlocks = 65536

  /// Opens the file. Errors: no such folder, no right to write there, no memory.
  init(_ options: OverflowOptions) throws(SinkError) {
    descriptor = try options.openFile()
    unsafe scratch = .allocate(byteCount: SpillBlocks.chunk, alignment: 4096)
    var size = 4096
    while options.limit / size >= SpillBlocks.mostBlocks { size *= 2 }
    // Short queues of many streams share a small file; long ones are read in whole chunks.
    blockSize = max(size, min(SpillBlocks.chunk, options.limit / 64 & ~4095))
    limit = max(1, options.limit / blockSize)
    next = SlotPool(capacity: 2 * limit, repeating: noIndex)
  }

  deinit {
    close(descriptor)
    unsafe scratch.deallocate()
  }

  /// Puts bytes behind a chain, as many as there is room for; returns how many. `mustFollow` takes
  /// of what is kept for bytes that belong behind others.
  mutating func append(
    _ address: UnsafeRawPointer, _ count: Int, to chain: inout Chain, mustFollow: Bool
  ) -> Int {
    var done = 0
    while done < count, failure == 0 {
      let into = chain.tail % blockSize
      if into == 0, !extend(&chain, mustFollow) { break }
      // Within the block at hand, of which the pool says that it is in the file.
      let part = min(count - done, blockSize - into)
      let at = Int(chain.last) * blockSize + into
      var written: Int
      repeat {
        written = unsafe pwrite(descriptor, address + done, part, off_t(at))
      } while written < 0 && errno == EINTR
      guard written > 0 else {
        failure = written == 0 ? EIO : errno
        // A block may have been taken for nothing.
        cut(&chain, by: 0)
        break
      }
      chain.tail += written
      done += written
    }
    return done
  }

  private mutating func extend(_ chain: inout Chain, _ mustFollow: Bool) -> Bool {
    guard mustFollow || next.busyCount < limit, let block = next.take() else { return false }
    next[block] = noIndex
    if chain.last == noIndex { chain.first = block } else { next[chain.last] = block }
    chain.last = block
    return true
  }

  /// Bytes that a chain could take, but for those that must follow.
  func room(behind chain: Chain) -> Int {
    guard failure == 0 else { return 0 }
    let into = chain.tail % blockSize
    return (into == 0 ? 0 : blockSize - into) + max(0, limit - next.busyCount) * blockSize
  }

  /// The part of that room which a chain should take: no more than leaves as much to others as it
  /// has. A stream that stands still then never takes the room of one that only pauses, as in
  /// switches whose queues share a buffer (dynamic thresholds); alone it has half of all.
  func share(behind chain: Chain) -> Int {
    guard failure == 0 else { return 0 }
    let into = chain.tail % blockSize
    let unused = max(0, limit - next.busyCount) * blockSize
    return (into == 0 ? 0 : blockSize - into) + max(0, unused - chain.count)
  }

  /// Takes the last bytes of a chain back.
  mutating func cut(_ chain: inout Chain, by count: Int) {
    guard count < chain.count else { return empty(&chain) }
    chain.tail -= count
    // The block of the last byte that stays is the last one.
    var last = chain.first
    for _ in 0..<((chain.tail - 1) / blockSize - chain.head / blockSize) { last = next[last] }
    var block = next[last]
    while block != noIndex { block = release(block) }
    next[last] = noIndex
    chain.last = last
  }

  /// Forgets what waits in a chain.
  mutating func empty(_ chain: inout Chain) {
    var block = chain.first
    while block != noIndex { block = release(block) }
    chain = Chain()
    guard next.busyCount == 0 else { return }
    // A file that cannot be shortened only costs space.
    _ = ftruncate(descriptor, 0)
    failure = 0
  }

  /// Gives a block back; returns the one behind it.
  private mutating func release(_ block: UInt32) -> UInt32 {
    let following = next[block]
    next.give(block)
    return following
  }

  /// Sends what waits in a chain, as long as the socket takes some: 0, EAGAIN where it does not, or
  /// the errno of what failed. `sent` counts the bytes.
  mutating func drain(_ chain: inout Chain, into socket: Int32, sent: inout Int) -> Int32 {
    while !chain.isEmpty {
      let into = chain.head % blockSize
      let wanted = min(chain.count, blockSize - into, SpillBlocks.chunk)
      let at = Int(chain.first) * blockSize + into
      let got = unsafe pread(descriptor, scratch, wanted, off_t(at))
      guard got > 0 else {
        if got < 0 && errno == EINTR { continue }
        return got == 0 ? EIO : errno
      }
      var vector = unsafe iovec(iov_base: scratch, iov_len: got)
      let result = unsafe ik_send_runs(socket, &vector, 1)
      guard result > 0 else { return result == 0 ? EPIPE : Int32(-result) }
      chain.head += Int(result)
      sent += Int(result)
      if chain.isEmpty {
        empty(&chain)
      } else if chain.head % blockSize == 0 {
        chain.first = release(chain.first)
      }
    }
    return 0
  }
}
