import CIngestKernel
import Glibc

/// Bytes that wait for a reader, first in, first out, in a file without a name: on disk, or in
/// memory (a memfd).
///
/// - Cost: one pwritev(2) to put bytes in; a pread(2) and a write for each 64 KiB that leave. What
///   has left is given back to the file system in steps of 16 MiB, all of it when the queue is
///   empty.
@safe
struct OverflowQueue: ~Copyable {
  private let descriptor: Int32
  private let scratch: UnsafeMutableRawPointer
  /// Positions in the file: what is before `head` has left.
  private var head: Int = 0
  private var tail: Int = 0
  private var punched: Int = 0
  /// The errno with which putting bytes in has failed; then nothing more is taken until it is
  /// empty.
  private(set) var failure: Int32 = 0

  private static let chunk = 64 << 10
  private static let step = 16 << 20

  /// Opens the file. Errors: no such folder, no right to write there, no memory.
  init(_ options: OverflowOptions) throws(SinkError) {
    descriptor = try options.openFile()
    unsafe scratch = .allocate(byteCount: OverflowQueue.chunk, alignment: 4096)
  }

  deinit {
    close(descriptor)
    unsafe scratch.deallocate()
  }

  var isEmpty: Bool { head == tail }
  var count: Int { tail - head }

  /// Puts bytes of the vectors in, as many as the file takes: the vectors up to `first`, and what
  /// that one was shortened by, are in it. Returns how many bytes that is.
  mutating func append(
    _ vectors: UnsafeMutablePointer<iovec>, from first: inout Int, to end: Int
  ) -> Int {
    let before = tail
    while first < end, failure == 0 {
      let written = unsafe pwritev(
        descriptor, vectors + first, Int32(end - first), off_t(tail))
      if written < 0 && errno == EINTR { continue }
      guard written > 0 else {
        failure = written == 0 ? EIO : errno
        break
      }
      tail += written
      first = unsafe advance(vectors, from: first, to: end, by: written)
    }
    return tail - before
  }

  /// Writes what waits, as long as the reader takes some: 0, EAGAIN where it does not, or the
  /// errno of a write that failed. `written` counts the bytes.
  mutating func drain(into reader: Int32, written: inout UInt64) -> Int32 {
    while !isEmpty {
      let wanted = min(count, OverflowQueue.chunk)
      let got = unsafe pread(descriptor, scratch, wanted, off_t(head))
      guard got > 0 else {
        if got < 0 && errno == EINTR { continue }
        return got == 0 ? EIO : errno
      }
      var vector = unsafe iovec(iov_base: scratch, iov_len: got)
      let result = unsafe ik_write_now(reader, &vector, 1)
      guard result > 0 else {
        if result == -EINTR { continue }
        return result == 0 ? EAGAIN : Int32(-result)
      }
      head += Int(result)
      written += UInt64(result)
      giveBack()
    }
    return 0
  }

  /// Frees what has left.
  private mutating func giveBack() {
    if isEmpty {
      // A file that cannot be shortened only costs space.
      _ = ftruncate(descriptor, 0)
      (head, tail, punched, failure) = (0, 0, 0, 0)
    } else if head - punched >= OverflowQueue.step {
      ik_punch(descriptor, Int64(punched), Int64(head - punched))
      punched = head
    }
  }
}
