import Glibc

/// A queue of an interface, and who has its memory.
public struct Queue: Equatable, Sendable {
  public var direction: Direction
  public var number: UInt32
  /// The NAPI instance that serves it; a socket's SO_INCOMING_NAPI_ID is this number.
  public var napi: UInt32?
  /// Bound to an io_uring instance (zero-copy receive).
  public var ioUring: IOUring?
  /// Bound to TCP devmem; the number of the binding.
  public var dmabuf: UInt32?
  /// An AF_XDP socket has it.
  public var hasXDPSocket: Bool
  public var lease: Lease?

  /// The numbers are the kernel's.
  public enum Direction: UInt32, Sendable {
    case receive = 0
    case transmit = 1
  }

  public struct IOUring: Equatable, Sendable {
    /// Bytes of one buffer; nil before Linux 7.2.
    public var bufferLength: UInt64?
  }

  /// The virtual interface that a queue is leased to (Linux 7.1).
  public struct Lease: Equatable, Sendable {
    public var interface: UInt32
    public var queue: UInt32
    /// The network namespace it lives in, as this one numbers it; nil for this one.
    public var namespace: Int32?
  }
}

private enum QueueNumber {
  static let number: UInt16 = 1
  static let interface: UInt16 = 2
  static let direction: UInt16 = 3
  static let napi: UInt16 = 4
  static let dmabuf: UInt16 = 5
  static let ioUring: UInt16 = 6
  static let xdpSocket: UInt16 = 7
  static let lease: UInt16 = 8
  static let ioUringBufferLength: UInt16 = 1
  static let leaseInterface: UInt16 = 1
  static let leaseQueue: UInt16 = 2
  static let leaseNamespace: UInt16 = 3
}

extension Queue: AttributeDecodable {
  init(_ attributes: Attributes) throws(MalformedMessage) {
    number = try attributes.required(QueueNumber.number)
    let kind: UInt32 = try attributes.required(QueueNumber.direction)
    guard let direction = Direction(rawValue: kind) else {
      throw MalformedMessage("a queue of type \(kind)")
    }
    self.direction = direction
    napi = try attributes.integer(QueueNumber.napi)
    dmabuf = try attributes.integer(QueueNumber.dmabuf)
    hasXDPSocket = attributes.has(QueueNumber.xdpSocket)
    if let nest = try attributes.nested(QueueNumber.ioUring) {
      ioUring = IOUring(bufferLength: try nest.integer(QueueNumber.ioUringBufferLength))
    }
    guard let nest = try attributes.nested(QueueNumber.lease) else { return }
    lease = Lease(
      interface: try nest.required(QueueNumber.leaseInterface),
      queue: try nest.nested(QueueNumber.leaseQueue)?.required(QueueNumber.number) ?? 0,
      namespace: try nest.integer(QueueNumber.leaseNamespace, as: UInt32.self).map {
        Int32(bitPattern: $0)
      })
  }
}

extension NICAccess {
  /// All queues, receive queues first. None while the interface is down: the kernel shows them only
  /// when it is up. Linux 6.8.
  public func queues(of link: Link) throws(NetlinkError) -> [Queue] {
    try netdev().dump(Netdev.getQueue, "list the queues of \(link.name)") {
      $0.add(QueueNumber.interface, link.index)
    }
  }

  /// One receive queue. The errors are ENODEV for a number that no interface has, ENOENT while the
  /// interface is down, EINVAL for a queue it does not have. Linux 6.8; who has it 6.15.
  public func receiveQueue(_ number: UInt32, interface: UInt32) throws(NetlinkError) -> Queue {
    let what = "read receive queue \(number) of interface number \(interface)"
    do throws(NetlinkError) {
      return try netdev().get(Netdev.getQueue, what) {
        $0.add(QueueNumber.interface, interface)
        $0.add(QueueNumber.direction, Queue.Direction.receive.rawValue)
        $0.add(QueueNumber.number, number)
      }
    } catch {
      // The kernel gives no words for these two (net/core/netdev-genl.c, netdev_nl_queue_fill).
      let message: String? =
        switch error.errno {
        case ENOENT: "the interface is down, so its queues cannot be seen"
        case EINVAL: "the interface has no such queue"
        default: nil
        }
      throw NetlinkError(what, errno: error.errno, message: error.message ?? message)
    }
  }
}
