import CIngestKernel
import Glibc
import RingCore

/// How connections are sent on; spelled `forward:HOST:PORT,method=send-zc|send,bytes=all|payload`,
/// with what ``OverflowOptions`` takes.
public struct ForwardSinkOptions: Equatable, Sendable {
  /// A name or an address, without brackets.
  public var host: String
  public var port: UInt16
  public var method = Method.zeroCopy
  public var bytes = SinkBytes.all
  /// What happens to a connection whose receiver is behind. All but `block` take method `send`.
  public var overflow = OverflowOptions()

  public init(host: String, port: UInt16) {
    self.host = host
    self.port = port
  }

  public enum Method: String, Codable, Sendable, CaseIterable {
    /// From the received memory, which stays held until the kernel says that nobody reads it.
    case zeroCopy = "send-zc"
    /// The kernel copies once, and memory is free at once.
    case send
  }

  /// `HOST:PORT`, with brackets where the host has colons.
  var target: String {
    host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
  }
}

/// The sizes of a ``ForwardSink``'s pools, all allocated at the start.
public struct ForwardSinkLimits: Equatable, Sendable {
  /// Outgoing connections: those of open connections, and those that have yet to be acknowledged.
  public var links: Int
  /// Leases held until they are sent, and runs of bytes in them.
  public var leases: Int
  public var runs: Int
  /// Zero-copy sends that the kernel has not let go of.
  public var flights: Int
  /// Sends of several runs under way, and the runs of each.
  public var messages: Int
  public var vectors: Int

  public init(
    links: Int, leases: Int, runs: Int, flights: Int, messages: Int, vectors: Int
  ) {
    self.links = links
    self.leases = leases
    self.runs = runs
    self.flights = flights
    self.messages = messages
    self.vectors = vectors
  }

  /// Twice as many links as connections: each slot may have a new one while the last one's bytes
  /// wait for their acknowledgement. Four runs a lease: with `bytes=payload` each record is one. As
  /// many flights as leases, since a send takes one lease or more. 256 messages of 64 runs: half of
  /// a submission queue's entries.
  ///
  /// Memory: links x 160 + leases x (24 + 4 x 36 + 44) + messages x (56 + vectors x 16) bytes; for
  /// 4096 connections and leases 2.5 MiB.
  public static func standard(maxConnections: Int, holdLimit: Int) -> ForwardSinkLimits {
    ForwardSinkLimits(
      links: 2 * maxConnections, leases: holdLimit, runs: 4 * holdLimit, flights: holdLimit,
      messages: min(2 * maxConnections, 256), vectors: 64)
  }
}

extension ForwardSinkOptions {
  /// Asks the resolver, which may wait for a name server. The first address is taken.
  func resolve() throws(SinkError) -> ik_endpoint {
    var found = ik_endpoint()
    let count = unsafe ik_resolve(host, port, AF_UNSPEC, &found, 1)
    guard count > 0 else {
      let why = count == 0 ? "no address" : unsafe String(cString: ik_resolve_error(count))
      throw SinkError(
        .failed, "cannot forward to \(target): unknown host \(host): \(why)",
        remedy: "`getent ahosts \(host)` asks the same resolver")
    }
    return found
  }
}

extension ForwardSink {
  /// What is not as asked for; nil where all is.
  public static func remark(_ options: ForwardSinkOptions) -> String? {
    guard options.method == .zeroCopy, ik_gathers_zerocopy() == 0 else { return nil }
    return "forward: plain send is used, which copies once: zero-copy sends that gather and report "
      + "need Linux 6.2"
  }
}

extension SinkFailure {
  /// A connection that could not be sent on; `acknowledged` bytes are with the receiving host.
  init(
    forwarding target: String, connection: UInt64, connecting: Bool, errno: Int32,
    acknowledged: UInt64
  ) {
    let text = unsafe String(cString: strerror(errno))
    let what =
      connecting
      ? "could not connect: \(text) (errno \(errno))"
      : "\(text) (errno \(errno)) after the receiving host had acknowledged \(acknowledged) bytes"
    self.init(
      target: "forward to \(target), connection \(connection)", detail: what,
      remedy: SinkFailure.forwardRemedy(errno, target))
  }

  private static func forwardRemedy(_ errno: Int32, _ target: String) -> String? {
    let host = String(target[..<(target.lastIndex(of: ":") ?? target.endIndex)])
    switch errno {
    case ECONNREFUSED:
      return "nobody listens there: start the receiver first, or correct HOST:PORT "
        + "(`ss -ltn` on the receiving host)"
    case ECONNRESET, EPIPE:
      return "the receiver ended the connection before it had everything: see there why"
    case EHOSTUNREACH, ENETUNREACH:
      return "no way leads there: see `ip route get \(host)`"
    case ETIMEDOUT:
      return "the host does not answer: is it up, is a firewall between (`ping \(host)`)?"
    case EMFILE, ENFILE:
      return "each connection takes two descriptors: raise the limit with `ulimit -n`"
    case EADDRNOTAVAIL:
      return "no local port is free: widen net.ipv4.ip_local_port_range with `sysctl`"
    case ENOBUFS:
      return "too much waits for the receiver: lower --max-connections, or see why it is slow"
    default:
      return nil
    }
  }
}
