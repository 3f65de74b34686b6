import CNetlink

/// Binds a dmabuf to a receive queue as TCP devmem does, to hear what the kernel says to it, and
/// lets it go at once.
///
/// Zero-copy receive of io_uring goes through the same checks (net/core/netdev_rx_queue.c), but
/// answers with an errno alone. This is the way to the kernel's own sentence.
///
/// The driver restarts the queue twice: what is on its way through it meanwhile is lost, and TCP
/// sends it again. Needs CAP_NET_ADMIN; Linux 6.12.
public struct BindProbe {
  private enum BindNumber {
    static let command: UInt8 = 13  // NETDEV_CMD_BIND_RX
    static let interface: UInt16 = 1
    static let queues: UInt16 = 2
    static let descriptor: UInt16 = 3
    static let identifier: UInt16 = 4
    static let queueNumber: UInt16 = 1
    static let queueDirection: UInt16 = 3
  }

  /// The number of a binding.
  private struct Binding: AttributeDecodable {
    let identifier: UInt32

    init(_ attributes: Attributes) throws(MalformedMessage) {
      identifier = try attributes.required(BindNumber.identifier)
    }
  }

  /// Returns where kernel and driver take the queue; otherwise the error has their words.
  ///
  /// - Parameter dmabuf: must cover what the driver posts: it is filled into the queue's ring.
  /// - Cost: two restarts of the queue.
  public static func run(
    _ link: Link, queue: UInt32, dmabuf: Int32
  ) throws(NetlinkError) {
    // A binding lives as long as the socket that made it (net/core/netdev-genl.c), so this one is
    // nobody else's, and closed when this returns.
    let socket = try NetlinkSocket(protocol: NETLINK_GENERIC)
    let family = try GenericFamily("netdev", on: socket)
    let what = "bind \(link.name) queue \(queue) to a dmabuf"
    let _: Binding = try family.get(BindNumber.command, what) {
      $0.add(BindNumber.interface, link.index)
      $0.nest(BindNumber.queues) {
        $0.add(BindNumber.queueNumber, queue)
        $0.add(BindNumber.queueDirection, Queue.Direction.receive.rawValue)
      }
      $0.add(BindNumber.descriptor, UInt32(bitPattern: dmabuf))
    }
  }
}
