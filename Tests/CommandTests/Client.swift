import CIngestKernel
import Glibc

/// A stock TCP client on loopback.
struct Client: ~Copyable {
  private let descriptor: Int32

  init(port: UInt16) throws {
    var at = ik_endpoint()
    at.family = UInt16(AF_INET)
    at.port = port
    at.address = (127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    // Without a choice the system's congestion control may pace loopback.
    let descriptor = unsafe ik_connect(&at, Int32(SOCK_STREAM.rawValue), 5000, "reno", 0)
    guard descriptor >= 0 else {
      throw RunningCommand.Failure(text: "connect to port \(port): errno \(-descriptor)")
    }
    self.descriptor = descriptor
  }

  deinit { close(descriptor) }

  /// Sends all bytes; false where the peer has gone.
  @discardableResult
  func send(_ bytes: [UInt8]) -> Bool {
    var sent = 0
    while sent < bytes.count {
      let done = unsafe bytes.withUnsafeBytes { buffer in
        unsafe Glibc.send(
          descriptor, buffer.baseAddress! + sent, buffer.count - sent, Int32(MSG_NOSIGNAL))
      }
      guard done > 0 else { return false }
      sent += done
    }
    return true
  }

  /// Ends with a reset instead of FIN.
  func reset() { _ = ik_abort(descriptor) }
}

extension RunningCommand {
  /// The port that a receiver says it listens on.
  func port() throws -> UInt16 {
    try waitFor("listening on ")
    for text in [out, error] {
      guard let line = text.split(separator: "\n").first(where: { $0.contains("listening on ") }),
        let place = line.split(separator: ",").first,
        let port = place.split(separator: ":").last.flatMap({ UInt16($0) })
      else { continue }
      return port
    }
    throw Failure(text: "no port in:\n\(out)\n\(error)")
  }
}

/// A port of 127.0.0.1 that nobody listened on a moment ago.
func freePort() throws -> UInt16 {
  var at = ik_endpoint()
  at.family = UInt16(AF_INET)
  at.address = (127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
  let descriptor = unsafe ik_listen(&at, 1, 0, 0, nil)
  guard descriptor >= 0 else { throw RunningCommand.Failure(text: "listen: \(-descriptor)") }
  defer { close(descriptor) }
  guard unsafe ik_endpoint_of(descriptor, 0, &at) == 0 else {
    throw RunningCommand.Failure(text: "getsockname")
  }
  return at.port
}

func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }
