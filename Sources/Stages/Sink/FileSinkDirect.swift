import CIngestKernel
import Glibc
import RingCore

// Direct writes need memory, place and length in whole pages. Leases have none of that, so bytes
// are copied into blocks, each written with one request when it is full. What a file has beyond its
// last whole page goes through the page cache; when the file goes on after that, the page is
// written once more, as the start of the next block.

extension FileSink {
  /// What direct writes are multiples of: no device asks for more.
  static var alignment: Int { 4096 }

  /// A block for each connection, or for all, and some being written.
  static func blockPool(
    _ options: FileSinkOptions, maxConnections: Int
  ) throws(SinkError) -> CarryPool {
    guard options.direct else { return CarryPool() }
    invariant(options.block % alignment == 0, "a block is a multiple of 4096 bytes")
    let files = options.layout == .one ? 1 : maxConnections
    do throws(SinkError) {
      return try CarryPool(maxConnections: files, bound: options.block, budget: options.carry)
    } catch {
      throw SinkError(
        error.kind,
        "direct=yes gathers \(ByteSize.spelled(options.block)) for each of \(files) files, which "
          + "is more than the \(ByteSize.spelled(options.carry)) allowed or available",
        remedy: "lower --max-connections or block=SIZE, raise carry=SIZE, or use layout=one")
    }
  }

  /// A sentence for the start of a run whose files will not be written as was asked for.
  public static func remark(_ options: FileSinkOptions) -> String? {
    guard options.direct else { return nil }
    var directory = options.path
    if FileTemplate.kind(of: directory) != S_IFDIR {
      let fixed = directory.prefix { $0 != "%" }
      directory = fixed.lastIndex(of: "/").map { String(fixed[...$0]) } ?? "."
    }
    guard unsafe ik_refuses_direct(directory) != 0 else { return nil }
    return
      "direct=yes: the file system of \(directory) refuses O_DIRECT (`df -T \(directory)`), so "
      + "blocks are written through the page cache"
  }

  /// Where a file's block is gathered.
  func blockKey(of file: UInt32) -> UInt32 {
    options.layout == .one ? 0 : files[file].connection.slot
  }

  /// The end of what was written or queued: what is gathered has a place, but is not on its way.
  func placedEnd(of file: UInt32) -> UInt64 {
    let state = files[file]
    guard options.direct, state.attached else { return state.end }
    return state.end - UInt64(blocks.count(slot: blockKey(of: file)) - state.flushed)
  }

  /// Has a file that was just opened written directly, where its file system can.
  mutating func makeDirect(_ file: UInt32) {
    files[file].direct = ik_set_direct(files[file].descriptor, 1) == 0
    if !files[file].direct { counters.indirectFiles += 1 }
  }

  /// Has the rest of a file written through the page cache.
  mutating func leaveDirect(_ file: UInt32) {
    files[file].direct = false
    counters.indirectFiles += 1
    _ = ik_set_direct(files[file].descriptor, 0)
  }

  /// Copies bytes to the end of a file's block; a full block is written.
  mutating func gatherBlocks(
    _ address: UnsafeMutableRawPointer, _ count: Int, of file: UInt32, in batch: inout Batch
  ) {
    let key = blockKey(of: file)
    var done = 0
    while done < count, files[file].failure == 0 {
      let room = blocks.bound - blocks.count(slot: key)
      let part = min(room, count - done)
      // `part` bytes from `done` on lie in the run, and fit into the block.
      let fits = unsafe blocks.append(slot: key, from: address + done, count: part)
      invariant(fits, "there is a block for every file")
      counters.copiedBytes += UInt64(part)
      files[file].end += UInt64(part)
      done += part
      guard part == room, let (block, bytes) = unsafe blocks.take(slot: key) else { continue }
      let again = files[file].flushed
      files[file].flushed = 0
      let length = bytes.count
      let start = unsafe UnsafeMutableRawPointer(mutating: bytes.baseAddress!)
      let isQueued = unsafe writeBlock(
        block, start, length, before: 0, of: file, again,
        in: &batch)
      if !isQueued { blocks.give(block) }
    }
    lose(count - done)
  }

  /// Writes a block that ends `behind` bytes before the file's end; false when that is done and
  /// the block is the caller's, true when it is under way.
  private mutating func writeBlock(
    _ block: UInt32, _ address: UnsafeMutableRawPointer, _ count: Int, before behind: Int,
    of file: UInt32, _ again: Int, in batch: inout Batch
  ) -> Bool {
    let offset = files[file].end - UInt64(count + behind)
    if batch.submissions != nil, blocks.mayWait {
      // A request of its own: blocks do not lie side by side.
      files[file].gathering = noIndex
      let claim = Claim(kind: .block, index: block)
      if unsafe queue(address, count, at: offset, of: file, for: claim) {
        operations[files[file].gathering].again = again
        files[file].gathering = noIndex
        blocks.waits()
        return true
      }
    }
    unsafe writeNow(address, count, at: offset, of: file, again: again, in: &batch)
    return false
  }

  /// Writes what is gathered for a file, all of it.
  mutating func writeBlocks(of file: UInt32, in batch: inout Batch) {
    let key = blockKey(of: file)
    let flushed = files[file].flushed
    // What is in the file already stays at the front of the block.
    guard files[file].ending || blocks.count(slot: key) > flushed,
      let (block, bytes) = unsafe blocks.take(slot: key)
    else { return }
    files[file].flushed = 0
    guard files[file].failure == 0, bytes.count > flushed else {
      lose(bytes.count - flushed)
      return blocks.give(block)
    }
    // The memory is the pool's: mapped writable, and only named constant while it is handed over.
    let start = unsafe UnsafeMutableRawPointer(mutating: bytes.baseAddress!)
    let tail = bytes.count % FileSink.alignment
    let whole = bytes.count - tail
    let known = max(whole, flushed)
    if bytes.count > known {
      unsafe writeTail(start + known, bytes.count - known, of: file, in: &batch)
    }
    var isQueued = false
    if whole > 0, files[file].failure != 0 { lose(whole - min(flushed, whole)) }
    if whole > 0, files[file].failure == 0 {
      isQueued = unsafe writeBlock(
        block, start, whole, before: tail, of: file, min(flushed, whole), in: &batch)
    }
    unsafe keepTail(block, unsafe start + whole, tail, of: file, isQueued)
  }

  /// The last part of a page goes to the front of the block that the file goes on with.
  private mutating func keepTail(
    _ block: UInt32, _ address: UnsafeMutableRawPointer, _ tail: Int, of file: UInt32,
    _ isQueued: Bool
  ) {
    let key = blockKey(of: file)
    guard !files[file].ending, tail > 0, files[file].failure == 0 else {
      if !isQueued { blocks.give(block) }
      return
    }
    files[file].flushed = tail
    counters.copiedBytes += UInt64(tail)
    if isQueued {
      let fits = unsafe blocks.append(slot: key, from: address, count: tail)
      invariant(fits, "there is a block for every file beside those being written")
    } else {
      unsafe blocks.resume(slot: key, in: block, from: address, count: tail)
    }
  }

  /// Writes the last bytes of a file through the page cache, which takes less than a page without
  /// waiting for the disk.
  private mutating func writeTail(
    _ address: UnsafeMutableRawPointer, _ count: Int, of file: UInt32, in batch: inout Batch
  ) {
    // Requests under way were started with the flag, and go on with it.
    let descriptor = files[file].descriptor
    if files[file].direct { _ = ik_set_direct(descriptor, 0) }
    let offset = files[file].end - UInt64(count)
    unsafe writeNow(address, count, at: offset, of: file, in: &batch)
    if files[file].direct { _ = ik_set_direct(descriptor, 1) }
  }
}
