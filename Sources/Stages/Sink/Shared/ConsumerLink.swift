import CIngestKernel
import CIngestShm
import Glibc
import RingCore

/// The socket that consumers connect to, and the one that is connected. What the kernel is asked
/// for is asked without waiting, with the flags of the call: those of a descriptor that another
/// process holds, too, are that one's to change.
@safe
struct ConsumerLink: ~Copyable {
  let path: String
  private(set) var listener: Int32
  /// The consumer's end of the conversation; -1 without one.
  private(set) var connection: Int32 = -1
  /// The process that connected; 0 where the kernel does not tell.
  private(set) var process: Int32 = 0

  /// The kernel calls are socket, bind and listen; the socket's mode is 0600.
  init(path: String) throws(SinkError) {
    let listener = unsafe path.withCString {
      unsafe ik_unix_listen($0, Int32(SOCK_STREAM.rawValue))
    }
    guard listener >= 0 else {
      throw SinkError(
        .failed, "could not listen at \(path): \(unsafe String(cString: strerror(-listener)))",
        remedy: ConsumerLink.remedy(-listener, path))
    }
    self.path = path
    self.listener = listener
  }

  deinit {
    if connection >= 0 {
      // A request of the ring may still hold the socket; the consumer is to see the end now.
      shutdown(connection, Int32(SHUT_RDWR))
      close(connection)
    }
    guard listener >= 0 else { return }
    // While it listens nobody else takes the path over, so what is removed is its own.
    unsafe unlink(path)
    close(listener)
  }

  private static func remedy(_ errno: Int32, _ path: String) -> String {
    switch errno {
    case EADDRINUSE: "something else is there: `ls -l \(path)`, `ss -xlp | grep \(path)`"
    case ENAMETOOLONG: "the path of a socket has at most 107 bytes"
    case ENOENT: "a directory of the path is missing: make it with `mkdir -p`"
    default: "check the directory's owner and mode (`ls -ld`), or give another PATH"
    }
  }

  /// Takes the next consumer that has connected, and gives it the area and the ring. False when
  /// there is none, or when it was gone again.
  mutating func takeConsumer(area: Int32, ring: Int32, areaBytes: Int, ringBytes: Int) -> Bool {
    guard connection < 0, listener >= 0 else { return false }
    var process: Int32 = 0
    let accepted = unsafe ik_unix_accept(listener, &process)
    guard accepted >= 0 else { return false }
    var hello = ingest_shm_hello()
    hello.magic = INGEST_SHM_MAGIC
    hello.version = INGEST_SHM_VERSION
    hello.hello_bytes = UInt32(MemoryLayout<ingest_shm_hello>.size)
    hello.area_bytes = UInt64(areaBytes)
    hello.ring_bytes = UInt64(ringBytes)
    // A new socket has room for so little.
    let bytes = MemoryLayout<ingest_shm_hello>.size
    let sent = unsafe ik_send_descriptors(
      accepted, &hello, bytes, [area, ring], 2, Int32(MSG_DONTWAIT))
    guard sent == bytes else {
      close(accepted)
      return false
    }
    connection = accepted
    self.process = process
    return true
  }

  /// Says "look" to a consumer that sleeps.
  func wake() {
    if connection >= 0 { ik_unix_wake(connection) }
  }

  /// Takes what the consumer said. False when it is gone.
  func listen() -> Bool { connection >= 0 && ik_unix_drain(connection) != 0 }

  /// Waits until the consumer says something or goes, or until one connects, but no longer than
  /// `milliseconds`.
  func wait(milliseconds: Int32) {
    let descriptor = connection >= 0 ? connection : listener
    var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    _ = unsafe poll(&wanted, 1, milliseconds)
  }

  /// Ends the conversation.
  mutating func hangUp() {
    guard connection >= 0 else { return }
    shutdown(connection, Int32(SHUT_RDWR))
    close(connection)
    connection = -1
    process = 0
  }

  /// Takes no more consumers.
  mutating func stopListening() {
    guard listener >= 0 else { return }
    unsafe unlink(path)
    close(listener)
    listener = -1
  }
}

/// The memory of one ring: a memfd that both sides map. Of a size that stays, so that no access of
/// this side can miss.
@safe
struct SharedRingMemory: ~Copyable {
  let descriptor: Int32
  let base: UnsafeMutableRawPointer
  let byteCount: Int

  /// The kernel calls are memfd_create, ftruncate, F_ADD_SEALS and mmap (MAP_POPULATE).
  init(byteCount: Int) throws(SinkError) {
    let descriptor = unsafe ik_memfd_fixed("ingest-ring", byteCount)
    guard descriptor >= 0 else {
      throw SinkError(
        .failed,
        "could not make a ring of \(byteCount) bytes: "
          + (unsafe String(cString: strerror(-descriptor))),
        remedy: "`free -m`, `ulimit -n` and `sysctl vm.memfd_noexec` tell what is short")
    }
    let address = unsafe mmap(
      nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED | Int32(MAP_POPULATE), descriptor, 0)
    guard let address = unsafe address, unsafe address != MAP_FAILED else {
      let error = errno
      close(descriptor)
      throw SinkError(
        .failed,
        "could not map a ring of \(byteCount) bytes: \(unsafe String(cString: strerror(error)))",
        remedy: "take fewer records with ring=N, or see `free -m` and `ulimit -v`")
    }
    self.descriptor = descriptor
    unsafe base = address
    self.byteCount = byteCount
  }

  deinit {
    unsafe munmap(base, byteCount)
    close(descriptor)
  }
}
