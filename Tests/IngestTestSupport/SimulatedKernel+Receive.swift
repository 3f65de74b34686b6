import CIngestKernel
import Glibc
import RingCore

// What receives do: the multishot one, and recv(2).
extension SimulatedKernel {
  /// One pass of a multishot receive (io_uring/zcrx.c, io_zcrx_tcp_recvmsg).
  func receive(_ index: Int) {
    guard let tag = sockets[index].receive else { return }
    watch(index)
    var posted = 0
    while let packet = sockets[index].queue.first {
      if posted > 21 { return }
      let errno = hand(packet, tag, index)
      if errno != 0 { return stop(index, tag, errno, posted) }
      posted += 1
      if sockets[index].queue.isEmpty { watch(index) }
    }
    let isOver = sockets[index].sent == script.streams[index].count || sockets[index].isShut
    guard isOver, posted == 0 else { return }
    sockets[index].receive = nil
    // The engine closes it now, and the next one may get its number.
    sockets[index].ours = -1
    mustPost(tag, 0)
  }

  /// Posts a packet's completion; the errno where that cannot be.
  private func hand(_ packet: Packet, _ tag: UInt64, _ index: Int) -> Int32 {
    guard overflow.isEmpty, completions.room > 0 else {
      counts.full += 1
      return ENOSPC
    }
    var (chunk, start) = (packet.chunk, packet.start)
    if chunk == nil {
      chunk = chunks?.takeForCopy()
      start = 0
      guard let chunk else {
        counts.noMemory += 1
        return ENOMEM
      }
      chunks?.write(packet.bytes, to: chunk, at: 0)
    }
    guard let chunk else { return ENOMEM }
    chunks?.reference(chunk)
    let isPosted = completions.post(
      tag: tag, result: Int32(packet.bytes.count), flags: UInt32(IK_CQE_F_MORE),
      offset: chunks?.offset(of: chunk, start) ?? 0)
    precondition(isPosted, "there was room")
    if packet.chunk != nil { chunks?.packet(in: chunk, -1) }
    sockets[index].queue.removeFirst()
    drain(index, packet.bytes.count)
    return 0
  }

  private func stop(_ index: Int, _ tag: UInt64, _ errno: Int32, _ posted: Int) {
    // Some bytes came: it is tried again, with the next packet or at once.
    if posted > 0 && !script.endsPartialPasses { return }
    sockets[index].receive = nil
    mustPost(tag, -errno)
  }

  /// Takes bytes out of the socket, whose content nobody reads but by its count.
  func drain(_ index: Int, _ count: Int) {
    var left = count
    unsafe withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 8) { scratch in
      while left > 0 {
        let taken = unsafe recv(
          sockets[index].ours, scratch.baseAddress, min(left, 4096), Int32(MSG_DONTWAIT))
        guard taken > 0 else { return }
        left -= taken
      }
    }
  }

  /// POLLRDHUP (include/uapi/asm-generic/poll.h), which Glibc does not import.
  static let peerShut: Int16 = 0x2000

  /// Whether the engine has shut the socket down.
  private func watch(_ index: Int) {
    var request = pollfd(
      fd: sockets[index].theirs, events: SimulatedKernel.peerShut, revents: 0)
    guard unsafe poll(&request, 1, 0) > 0 else { return }
    sockets[index].isShut = true
  }

  /// recv(2) with MSG_DONTWAIT: bytes up to the next packet that lies in the area.
  func receiveNow(
    _ descriptor: Int32, into memory: UnsafeMutableRawPointer, count: Int
  ) -> Int {
    guard let index = sockets.firstIndex(where: { $0.ours == descriptor }) else {
      return -Int(EBADF)
    }
    var taken = 0
    while taken < count, let packet = sockets[index].queue.first {
      guard packet.chunk == nil && !script.ringHasAll else { break }
      let part = packet.bytes.prefix(count - taken)
      unsafe part.withUnsafeBytes {
        unsafe (memory + taken).copyMemory(from: $0.baseAddress!, byteCount: part.count)
      }
      taken += part.count
      if part.count == packet.bytes.count {
        sockets[index].queue.removeFirst()
      } else {
        sockets[index].queue[0].bytes = packet.bytes.dropFirst(part.count)
      }
    }
    drain(index, taken)
    counts.salvaged += taken
    if taken > 0 { return taken }
    if !sockets[index].queue.isEmpty { return -Int(EFAULT) }
    return sockets[index].sent == script.streams[index].count ? 0 : -Int(EAGAIN)
  }
}
