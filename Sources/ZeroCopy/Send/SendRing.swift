public import CIngestKernel
import Glibc
public import RingCore

/// The io_uring of a sender, owned by the thread that made it. Unlike ``Ring`` it has completions
/// of 16 bytes: a request costs the kernel 10 to 17 instructions less with them.
@safe @usableFromInline
package struct SendRing: ~Copyable {
  @usableFromInline let ring: UnsafeMutablePointer<io_uring>
  @usableFromInline let submissions: SubmissionQueue
  @usableFromInline var completions: CompletionQueue<ik_short_cqe>

  /// Sets up a ring; sizes and cost as ``Ring/init(entries:completionEntries:)``.
  init(entries: UInt32, completionEntries: UInt32) throws(RingError) {
    let ring = unsafe try Ring.open(entries, completionEntries, completionSize: 16)
    completions = unsafe CompletionQueue(
      unsafeHead: ring.pointee.cq.khead, tail: ring.pointee.cq.ktail,
      entries: UnsafeRawPointer(ring.pointee.cq.cqes).assumingMemoryBound(to: ik_short_cqe.self),
      capacity: ring.pointee.cq.kring_mask.pointee + 1)
    submissions = unsafe SubmissionQueue(unsafeRing: ring)
    unsafe self.ring = ring
  }

  deinit {
    unsafe ik_ring_close(ring)
    unsafe ring.deallocate()
  }

  /// Submits what was prepared and waits for completions. Returns 0, or the errno (positive) of a
  /// wait that ended early.
  ///
  /// - Cost: one io_uring_enter(2).
  @inlinable
  mutating func enter(_ wait: Ring.Wait) -> Int32 {
    let result = unsafe ik_ring_enter(ring, wait.completions, 0, wait.timeoutNanoseconds)
    return result < 0 ? -result : 0
  }

  /// Submits what was prepared. Completions are those that requests have at once; no task work
  /// runs, which is what notifications and timeouts need. Returns as ``enter(_:)``.
  ///
  /// - Cost: one io_uring_enter(2), without the 160 instructions that a wait takes there even where
  ///   there is nothing to wait for.
  @inlinable
  mutating func submit() -> Int32 {
    let result = unsafe ik_ring_submit(ring)
    return result < 0 ? -result : 0
  }

  /// Registers buffers for fixed operations, in one system call. They stay pinned until the ring
  /// closes. Errors: ENOMEM (RLIMIT_MEMLOCK), EFAULT (not mapped), EBUSY (registered before).
  @unsafe
  func register(unsafeBuffers buffers: [iovec]) throws(RingError) {
    let error = unsafe buffers.withUnsafeBufferPointer { list in
      unsafe ik_ring_register_buffers(ring, list.baseAddress!, UInt32(list.count))
    }
    guard error == 0 else {
      throw RingError("register \(unsafe buffers.count) buffers", errno: -error)
    }
  }

  /// Registers sockets, so that requests name them by index (IORING_REGISTER_FILES). Returns 0 or
  /// the errno.
  func register(descriptors: [Int32]) -> Int32 {
    -(unsafe descriptors.withUnsafeBufferPointer { list in
      unsafe io_uring_register_files(ring, list.baseAddress!, UInt32(list.count))
    })
  }

  /// Whether this kernel sends with zero-copy and says whether it copied (SEND_ZC 6.0, usage
  /// reports 6.2). Tried on no file at all: a request that is understood fails with EBADF.
  mutating func takesUsageReports(_ memory: UnsafeMutableRawPointer) -> Bool {
    guard unsafe ik_ring_has_opcode(ring, Int32(IORING_OP_SEND_ZC.rawValue)) != 0,
      let entry = unsafe submissions.next()
    else { return false }
    unsafe ik_prep_send_zc(entry, -1, memory, 1, 0, UInt16(IK_SEND_ZC_REPORT_USAGE), 0)
    return answerOfTrial() != EINVAL
  }

  /// Whether one send may gather several buffers (6.17), in the given mode.
  mutating func takesVectors(_ memory: UnsafeMutableRawPointer, mode: SendMode) -> Bool {
    guard let entry = unsafe submissions.next() else { return false }
    var vector = unsafe iovec(iov_base: memory, iov_len: 1)
    return unsafe withUnsafePointer(to: &vector) { address in
      if mode == .plain {
        unsafe ik_prep_send(entry, -1, address, 1, 0)
        unsafe entry.pointee.ioprio = UInt16(IK_SEND_VECTORIZED)
      } else {
        let fixed = mode == .zeroCopy ? 0 : UInt16(IK_RECVSEND_FIXED_BUF)
        let flags = UInt16(IK_SEND_VECTORIZED) | UInt16(IK_SEND_ZC_REPORT_USAGE) | fixed
        unsafe ik_prep_send_zc(entry, -1, address, 1, 0, flags, 0)
      }
      return answerOfTrial() != EINVAL
    }
  }

  /// Runs the one prepared request; returns its errno once its last completion is in.
  private mutating func answerOfTrial() -> Int32 {
    var answer: Int32 = 0
    var left = 1
    while left > 0 {
      let error = enter(.one)
      guard error == 0 || error == EINTR else { return error }
      let count = completions.available()
      for index in 0..<count {
        let entry = unsafe completions.entry(index)
        if unsafe entry.pointee.flags & UInt32(IK_CQE_F_NOTIF) == 0 {
          unsafe answer = -entry.pointee.res
        }
        if unsafe entry.pointee.flags & UInt32(IK_CQE_F_MORE) == 0 { left -= 1 }
      }
      completions.advance(count)
    }
    return answer
  }
}
