import CIngestKernel
import Glibc
import RingCore

extension Ring {
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
    guard supports(opcode: UInt32(IORING_OP_SEND_ZC.rawValue)) else { return false }
    guard let entry = unsafe submissions.next() else { return false }
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
