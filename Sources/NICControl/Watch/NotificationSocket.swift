import CNetlink
import Glibc

/// A netlink socket that is told of changes, of the network namespace in which it was opened. It
/// never waits.
@safe
final class NotificationSocket {
  private let socket: OpaquePointer

  /// Messages that one call takes, so that a device which changes without end does not hold it up.
  private static let most = 512

  /// What came since the last call.
  struct Received {
    var messages: [Notification] = []
    /// Messages were lost.
    var isOverrun = false
  }

  /// - Parameters:
  ///   - groups: multicast groups of the protocol. Those of links and devices need no privilege.
  ///   - receiveBuffer: bytes; the kernel keeps to net.core.rmem_max. A message about a link takes
  ///     some 4 KiB of it.
  init(
    _ request: String, protocol number: Int32, groups: [Int32], receiveBuffer: Int32
  ) throws(NetlinkError) {
    guard let opened = unsafe nl_socket_alloc() else {
      throw NetlinkError(request, errno: ENOMEM)
    }
    var status = unsafe nl_connect(opened, number)
    if status >= 0 { status = unsafe nl_socket_set_nonblocking(opened) }
    if status >= 0 { status = unsafe nl_socket_set_buffer_size(opened, receiveBuffer, 0) }
    for group in groups where status >= 0 {
      status = unsafe nl_socket_add_membership(opened, group)
    }
    guard status >= 0 else {
      unsafe nl_socket_free(opened)
      throw NotificationSocket.error(request, status)
    }
    unsafe socket = opened
  }

  deinit { unsafe nl_socket_free(socket) }

  /// Readable when something came, or was lost.
  var descriptor: Int32 { unsafe nl_socket_get_fd(socket) }

  /// Takes what there is.
  ///
  /// - Cost: a system call or two for each message, and one for there being no more.
  func receive(_ request: String) throws(NetlinkError) -> Received {
    guard let callbacks = unsafe nl_cb_alloc(NL_CB_DEFAULT) else {
      throw NetlinkError(request, errno: ENOMEM)
    }
    defer { unsafe nl_cb_put(callbacks) }
    let inbox = Inbox()
    // `inbox` outlives every call of the callback: it is used after the last nl_recvmsgs.
    unsafe nl_cb_set(
      callbacks, NL_CB_MSG_IN, NL_CB_CUSTOM, collect, Unmanaged.passUnretained(inbox).toOpaque())
    for _ in 0..<NotificationSocket.most {
      let status = unsafe nl_recvmsgs(socket, callbacks)
      switch -status {
      // libnl's word for ENOBUFS, which the kernel gives once; what it kept comes after it.
      case NLE_NOMEM: inbox.received.isOverrun = true
      case NLE_AGAIN: return inbox.received
      case 1...: throw NotificationSocket.error(request, status)
      default: break
      }
    }
    return inbox.received
  }

  private static func error(_ request: String, _ status: Int32) -> NetlinkError {
    NetlinkError(request, errno: EPROTO, message: unsafe String(cString: nl_geterror(status)))
  }
}

private final class Inbox {
  var received = NotificationSocket.Received()
}

/// libnl calls this for each message. It is to do no more with it: it would look for the answer to
/// a request.
private func collect(message: OpaquePointer?, context: UnsafeMutableRawPointer?) -> Int32 {
  guard let message = unsafe message, let context = unsafe context,
    let header = unsafe nlmsg_hdr(message)
  else { return Int32(NL_SKIP.rawValue) }
  let inbox = unsafe Unmanaged<Inbox>.fromOpaque(context).takeUnretainedValue()
  // libnl has checked the length against what was received (nlmsg_ok).
  let payload = unsafe UnsafeRawBufferPointer(
    start: nlmsg_data(header), count: Int(nlmsg_datalen(header)))
  let notification = unsafe Notification(type: header.pointee.nlmsg_type, payload: Array(payload))
  inbox.received.messages.append(notification)
  return Int32(NL_SKIP.rawValue)
}
