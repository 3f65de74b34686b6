import CIngestShm
import Glibc

/// The conversation with a receiver, and the memory that it shares.
struct SharedConnection: ~Copyable {
  let socket: Int32
  let hello: ingest_shm_hello
  let area: SharedMapping
  let ring: SharedMapping

  init(path: String) throws(SharedConsumerError) {
    let socket = try SharedConnection.connect(to: path)
    do throws(SharedConsumerError) {
      let (hello, descriptors) = try SharedConnection.greet(socket)
      defer { for descriptor in descriptors { close(descriptor) } }
      guard hello.magic == INGEST_SHM_MAGIC, hello.version == INGEST_SHM_VERSION,
        descriptors.count == 2
      else { throw SharedConsumerError.format }
      let area = try SharedMapping(
        descriptors[0], atLeast: Int(clamping: hello.area_bytes), writable: false)
      let ring = try SharedMapping(
        descriptors[1], atLeast: Int(clamping: hello.ring_bytes), writable: true)
      self.socket = socket
      self.hello = hello
      self.area = area
      self.ring = ring
    } catch {
      close(socket)
      throw error
    }
  }

  deinit { close(socket) }

  /// Waits for a byte of the receiver's. False when it is gone.
  func sleep() -> Bool {
    var wanted = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
    while unsafe poll(&wanted, 1, -1) < 0, errno == EINTR {}
    var bytes: UInt64 = 0
    let count = unsafe recv(socket, &bytes, 8, Int32(MSG_DONTWAIT))
    return count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR))
  }

  func wake() {
    var byte: UInt8 = 1
    _ = unsafe send(socket, &byte, 1, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
  }

  private static func connect(to path: String) throws(SharedConsumerError) -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    let fits = unsafe withUnsafeMutableBytes(of: &address.sun_path) { room in
      guard !bytes.isEmpty, bytes.count < room.count else { return false }
      unsafe room.copyBytes(from: bytes)
      return true
    }
    guard fits else { throw .kernel(step: "connect to \(path)", errno: ENAMETOOLONG) }
    let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    let socket = Glibc.socket(AF_UNIX, type, 0)
    guard socket >= 0 else { throw .kernel(step: "make a socket", errno: errno) }
    let status = unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe Glibc.connect(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard status == 0 else {
      let error = errno
      close(socket)
      throw .kernel(step: "connect to \(path)", errno: error)
    }
    return socket
  }

  /// What the receiver says first, and the descriptors that come with it. The control message is a
  /// length, a level and a type (16 bytes), then the descriptors.
  private static func greet(
    _ socket: Int32
  ) throws(SharedConsumerError) -> (ingest_shm_hello, [Int32]) {
    var hello = ingest_shm_hello()
    var control = [UInt64](repeating: 0, count: 4)
    let size = MemoryLayout<ingest_shm_hello>.size
    let got = unsafe withUnsafeMutableBytes(of: &hello) { bytes in
      unsafe control.withUnsafeMutableBytes { room in
        var vector = unsafe iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
        return unsafe withUnsafeMutablePointer(to: &vector) { vector in
          var message = unsafe msghdr()
          unsafe message.msg_iov = vector
          unsafe message.msg_iovlen = 1
          unsafe message.msg_control = room.baseAddress
          unsafe message.msg_controllen = room.count
          return unsafe recvmsg(
            socket, &message, Int32(MSG_WAITALL) | Int32(MSG_CMSG_CLOEXEC))
        }
      }
    }
    guard got == size else {
      if got < 0 { throw .kernel(step: "be taken by the receiver", errno: errno) }
      throw .ended
    }
    let rights = UInt64(UInt32(SOL_SOCKET)) | UInt64(SCM_RIGHTS) << 32
    guard control[1] == rights, control[0] >= 16, control[0] <= 16 + 4 * 4 else {
      return (hello, [])
    }
    let count = (Int(control[0]) - 16) / 4
    return (
      hello,
      (0..<count).map { Int32(truncatingIfNeeded: control[2 + $0 / 2] >> (UInt64($0 % 2) * 32)) }
    )
  }
}

/// All of a memfd, mapped shared.
@safe
struct SharedMapping: ~Copyable {
  let base: UnsafeMutableRawPointer
  let byteCount: Int
  private let mapped: Int

  /// Maps as much as there is, which must be `bytes` at least; ``byteCount`` is `bytes`.
  init(_ descriptor: Int32, atLeast bytes: Int, writable: Bool) throws(SharedConsumerError) {
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else {
      throw .kernel(step: "look at shared memory", errno: errno)
    }
    // Less memory than is said to be there would be a signal with the first access beyond it.
    guard bytes > 0, Int(status.st_size) >= bytes else { throw .format }
    let protection = writable ? PROT_READ | PROT_WRITE : PROT_READ
    let address = unsafe mmap(nil, Int(status.st_size), protection, MAP_SHARED, descriptor, 0)
    guard let address = unsafe address, unsafe address != MAP_FAILED else {
      throw .kernel(step: "map \(status.st_size) bytes of shared memory", errno: errno)
    }
    unsafe base = address
    byteCount = bytes
    mapped = Int(status.st_size)
  }

  deinit { unsafe munmap(base, mapped) }
}
