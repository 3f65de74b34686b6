public import CIngestKernel
import Glibc
import RingCore

/// Runs a body on a thread of its own.
public final class TestThread: Sendable {
  private let handle: UInt64

  public init(_ body: @escaping @Sendable () -> Void) {
    let boxed = unsafe Unmanaged.passRetained(Box(body)).toOpaque()
    var handle: UInt64 = 0
    let error = unsafe ik_thread_start(
      &handle,
      { context in
        unsafe Unmanaged<Box>.fromOpaque(context).takeRetainedValue().body()
      }, boxed)
    invariant(error == 0, "a thread starts")
    self.handle = handle
  }

  public func join() { _ = ik_thread_join(handle) }

  private final class Box: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
}

/// A loopback endpoint of a family.
public func loopback(_ family: Int32, port: UInt16 = 0) -> ik_endpoint {
  var endpoint = ik_endpoint()
  endpoint.family = UInt16(family)
  endpoint.port = port
  unsafe withUnsafeMutableBytes(of: &endpoint.address) { bytes in
    if family == AF_INET6 {
      unsafe bytes[15] = 1
    } else {
      unsafe bytes[0] = 127
      unsafe bytes[3] = 1
    }
  }
  return endpoint
}

/// A plain blocking client: connects, writes, reads nothing.
public final class LoopbackClient: Sendable {
  public let descriptor: Int32

  public init(to endpoint: ik_endpoint) {
    var endpoint = endpoint
    descriptor = unsafe ik_connect(&endpoint, Int32(SOCK_STREAM.rawValue), 5000, "reno", 0)
    invariant(descriptor >= 0, "the listener of a test accepts")
  }

  /// Writes everything; false when the peer ended the connection.
  public func send(_ bytes: [UInt8]) -> Bool {
    var sent = 0
    while sent < bytes.count {
      let count = unsafe bytes.withUnsafeBytes { raw in
        unsafe Glibc.send(
          descriptor, raw.baseAddress! + sent, raw.count - sent, Int32(MSG_NOSIGNAL))
      }
      if count < 0 && errno == EINTR { continue }
      if count <= 0 { return false }
      sent += count
    }
    return true
  }

  /// Makes the close a reset.
  public func reset() {
    _ = ik_abort(descriptor)
  }

  deinit { Glibc.close(descriptor) }
}
