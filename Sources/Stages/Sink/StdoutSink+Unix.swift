import CIngestKernel
import Glibc

/// How records go to a process that listens on a unix socket; spelled `unix:PATH,mode=stream,…`.
public struct UnixSinkOptions: Equatable, Sendable {
  /// Where the reader listens.
  public var path: String
  public var mode = Mode.stream
  public var bytes = SinkBytes.all
  /// With `mode=stream`, what is done while the reader takes nothing more.
  public var overflow = OverflowOptions()
  /// With `mode=fd` the most bytes of memory for connections that have not ended.
  public var max = 1 << 30

  public init(path: String) { self.path = path }

  public enum Mode: String, Codable, Sendable, CaseIterable {
    /// All bytes in the order of arrival, as standard output has them.
    case stream
    /// Each connection as a file in memory when it ends (``MemfdSink``).
    case fd
  }
}

extension StdoutSink {
  /// Connects to the reader's socket (SOCK_STREAM) and writes there. Each thread's sink has a
  /// connection of its own, so threads do not mix their bytes.
  public init(
    _ options: UnixSinkOptions, maxConnections: Int, recordBound: Int?
  ) throws(SinkError) {
    let descriptor = try options.connect(Int32(SOCK_STREAM.rawValue))
    do throws(SinkError) {
      try self.init(
        descriptor: descriptor, name: options.path, ownsDescriptor: true, bytes: options.bytes,
        overflow: options.overflow, maxConnections: maxConnections, recordBound: recordBound)
    } catch {
      close(descriptor)
      throw error
    }
  }

}

extension UnixSinkOptions {
  /// Connects to the reader's socket, of this type.
  func connect(_ type: Int32, sendBuffer: Int32 = 0) throws(SinkError) -> Int32 {
    let descriptor = unsafe path.withCString { unsafe ik_unix_connect($0, type, sendBuffer) }
    guard descriptor >= 0 else {
      throw SinkError(
        .failed,
        "could not connect to \(path): \(unsafe String(cString: strerror(-descriptor)))",
        remedy: remedy(-descriptor))
    }
    return descriptor
  }

  private func remedy(_ errno: Int32) -> String {
    switch errno {
    case ENOENT where mode == .stream, ECONNREFUSED where mode == .stream:
      "the reader has to listen there first, for example: `socat -u UNIX-LISTEN:\(path) -`"
    case ENOENT, ECONNREFUSED:
      "the reader has to listen there first, on a socket of type SOCK_SEQPACKET"
    case EPROTOTYPE:
      "the reader listens for another type of socket: mode=stream wants SOCK_STREAM, mode=fd "
        + "SOCK_SEQPACKET"
    case ENAMETOOLONG: "the path of a socket has at most 107 bytes"
    default: "check the socket's owner and mode (`ls -l \(path)`)"
    }
  }
}
