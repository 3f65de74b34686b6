import CIngestKernel
import Glibc
import Synchronization

/// A plain receiver on loopback: accepts connections, keeps what they send (or counts it), on
/// threads of its own.
final class SendPeer: Sendable {
  /// What to do with the connection of that number (in order of acceptance).
  enum Behaviour: Sendable {
    case keep
    /// Close with a reset after so many bytes.
    case reset(after: Int)
    /// Accept and read nothing until told to end.
    case ignore
  }

  let port: UInt16
  private let listener: Int32
  private let behaviour: @Sendable (Int) -> Behaviour
  private let state = Mutex(State())

  struct State {
    var streams: [Int: [UInt8]] = [:]
    var threads: [pthread_t] = []
    var accepted = 0
    var ended = 0
    var closing = false
  }

  init(
    family: Int32 = AF_INET, connections: Int = 1,
    _ behaviour: @escaping @Sendable (Int) -> Behaviour = { _ in .keep }
  ) {
    var at = ik_endpoint()
    at.family = UInt16(family)
    if family == AF_INET {
      at.address.0 = 127
      at.address.3 = 1
    } else {
      at.address.15 = 1
    }
    listener = unsafe ik_listen(&at, 64, 0, 0, nil)
    _ = unsafe ik_endpoint_of(listener, 0, &at)
    port = at.port
    self.behaviour = behaviour
    for _ in 0..<connections { startThread() }
  }

  /// The bytes of every connection, in the order of acceptance, once all have ended.
  func streams() -> [[UInt8]] {
    for thread in state.withLock({ $0.threads }) { pthread_join(thread, nil) }
    close(listener)
    return state.withLock { state in state.streams.sorted { $0.key < $1.key }.map(\.value) }
  }

  /// Lets the connections that are ignored end.
  func end() { state.withLock { $0.closing = true } }

  private func startThread() {
    var thread = pthread_t()
    let context = unsafe Unmanaged.passRetained(self).toOpaque()
    let error = unsafe pthread_create(
      &thread, nil,
      { context in
        unsafe Unmanaged<SendPeer>.fromOpaque(context!).takeRetainedValue().serve()
        return nil
      }, context)
    precondition(error == 0)
    state.withLock { $0.threads.append(thread) }
  }

  private func serve() {
    let descriptor = accept(listener, nil, nil)
    guard descriptor >= 0 else { return }
    let number = state.withLock { state in
      defer { state.accepted += 1 }
      return state.accepted
    }
    var bytes: [UInt8] = []
    var limit = Int.max
    switch behaviour(number) {
    case .keep: break
    case .reset(let after): limit = after
    case .ignore: while !state.withLock({ $0.closing }) { usleep(1000) }
    }
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while bytes.count < limit {
      let got = unsafe read(descriptor, &buffer, buffer.count)
      if got <= 0 { break }
      bytes += buffer[0..<got]
    }
    if bytes.count >= limit { _ = ik_abort(descriptor) }
    close(descriptor)
    state.withLock { $0.streams[number] = bytes }
  }
}

/// A UDP receiver on loopback, IPv4.
struct DatagramPeer: ~Copyable {
  let descriptor: Int32
  let port: UInt16

  init() {
    let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
    var size: Int32 = 8 << 20
    unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, 4)
    unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        unsafe _ = bind(descriptor, pointer, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    var at = ik_endpoint()
    unsafe _ = ik_endpoint_of(descriptor, 0, &at)
    port = at.port
    self.descriptor = descriptor
  }

  deinit { close(descriptor) }

  /// Datagrams that are here already.
  func datagrams() -> [[UInt8]] {
    var list: [[UInt8]] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let got = unsafe recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
      if got < 0 { return list }
      list.append(Array(buffer[0..<got]))
    }
  }
}
