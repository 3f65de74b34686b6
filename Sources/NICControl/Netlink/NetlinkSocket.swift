import CNetlink
import Glibc

/// A netlink socket of the network namespace in which it was opened, for one request at a time.
///
/// libnl does the framing: sequence numbers, multi-part replies, buffers that grow. What a message
/// says is read here, because libnl turns errnos into fewer codes of its own and drops the status
/// at the end of a dump.
@safe
final class NetlinkSocket {
  private let socket: OpaquePointer

  /// How often a dump is asked for again when something changed in the middle of it.
  private static let attempts = 5
  /// The kernel answers at once; a reply that does not come is a fault, not a reason to hang.
  private static let timeoutSeconds = 10
  private static let levelNetlink: Int32 = 270  // SOL_NETLINK
  private static let optionCapAcknowledgement: Int32 = 10  // NETLINK_CAP_ACK
  private static let optionExtendedAcknowledgement: Int32 = 11  // NETLINK_EXT_ACK

  /// Opens a socket of a netlink protocol (NETLINK_ROUTE, NETLINK_GENERIC). Needs no privilege.
  init(protocol number: Int32) throws(NetlinkError) {
    let request = "open a netlink socket"
    guard let opened = unsafe nl_socket_alloc() else {
      throw NetlinkError(request, errno: ENOMEM)
    }
    let status = unsafe nl_connect(opened, number)
    guard status >= 0 else {
      unsafe nl_socket_free(opened)
      throw NetlinkError(request, errno: EPROTO, message: NetlinkSocket.text(status))
    }
    let descriptor = unsafe nl_socket_get_fd(opened)
    var on: Int32 = 1
    let size = socklen_t(MemoryLayout<Int32>.size)
    // Kernels without either still give the errno.
    for option in [
      NetlinkSocket.optionCapAcknowledgement, NetlinkSocket.optionExtendedAcknowledgement,
    ] {
      unsafe setsockopt(descriptor, NetlinkSocket.levelNetlink, option, &on, size)
    }
    var limit = timeval(tv_sec: NetlinkSocket.timeoutSeconds, tv_usec: 0)
    unsafe setsockopt(
      descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    unsafe socket = opened
  }

  deinit { unsafe nl_socket_free(socket) }

  /// The number by which a generic netlink family goes on this machine.
  func family(_ name: String) throws(NetlinkError) -> UInt16 {
    let status = unsafe genl_ctrl_resolve(socket, name)
    guard status >= 0, let number = UInt16(exactly: status) else {
      throw NetlinkError(
        "find the netlink family \"\(name)\"", errno: EOPNOTSUPP,
        message: "this kernel does not have it (\(NetlinkSocket.text(status)))")
    }
    return number
  }

  /// The number of a family's multicast group; nil where this kernel lacks either.
  func group(_ group: String, of family: String) -> Int32? {
    let status = unsafe genl_ctrl_resolve_grp(socket, family, group)
    return status < 0 ? nil : status
  }

  /// What kind of answer a request has.
  enum Answer {
    /// Replies, then an acknowledgement. A request that changes something has no reply.
    case acknowledged
    /// As many replies as there are objects (NLM_F_DUMP).
    case dump

    fileprivate var flags: Int32 { self == .dump ? 0x300 : 0 }
  }

  /// Sends a request and returns the payloads of the replies.
  ///
  /// - Parameter what: the request as a phrase, for the error.
  func exchange(
    _ what: String, type: UInt16, answer: Answer, payload: [UInt8]
  ) throws(NetlinkError) -> [[UInt8]] {
    for _ in 0..<NetlinkSocket.attempts {
      let replies = try exchangeOnce(what, type: type, answer: answer, payload: payload)
      if !replies.wasInterrupted { return replies.payloads }
    }
    throw NetlinkError(
      what, errno: EAGAIN, message: "the devices changed while they were listed, again and again")
  }

  private func exchangeOnce(
    _ what: String, type: UInt16, answer: Answer, payload: [UInt8]
  ) throws(NetlinkError) -> Replies {
    let replies = Replies()
    guard let callbacks = unsafe nl_cb_alloc(NL_CB_DEFAULT) else {
      throw NetlinkError(what, errno: ENOMEM)
    }
    defer { unsafe nl_cb_put(callbacks) }
    // `replies` outlives every call of the callback: it is used after the last nl_recvmsgs.
    unsafe nl_cb_set(
      callbacks, NL_CB_MSG_IN, NL_CB_CUSTOM, collect, Unmanaged.passUnretained(replies).toOpaque())
    var bytes = payload
    let sent = unsafe bytes.withUnsafeMutableBytes { buffer in
      unsafe nl_send_simple(socket, Int32(type), answer.flags, buffer.baseAddress, buffer.count)
    }
    guard sent >= 0 else {
      throw NetlinkError(what, errno: EPROTO, message: NetlinkSocket.text(sent))
    }
    while replies.end == nil {
      let status = unsafe nl_recvmsgs(socket, callbacks)
      if status < 0 && replies.end == nil {
        throw NetlinkError(what, errno: EPROTO, message: NetlinkSocket.text(status))
      }
    }
    switch replies.end {
    case .success(let end) where end.errno == 0: return replies
    case .success(let end): throw NetlinkError(what, errno: end.errno, message: end.message)
    case .failure(let malformed): throw NetlinkError(what, malformed: malformed)
    case nil: return replies
    }
  }

  private static func text(_ status: Int32) -> String {
    unsafe String(cString: nl_geterror(status))
  }
}

/// What arrived in answer to one request.
private final class Replies {
  var payloads: [[UInt8]] = []
  var end: Result<Acknowledgement, MalformedMessage>?
  var wasInterrupted = false

  private static let interruptedFlag: UInt16 = 0x10  // NLM_F_DUMP_INTR
  private static let firstFamilyType: UInt16 = 0x10  // NLMSG_MIN_TYPE

  func add(type: UInt16, flags: UInt16, payload: [UInt8]) {
    if flags & Replies.interruptedFlag != 0 { wasInterrupted = true }
    if let kind = Acknowledgement.Kind(rawValue: type) {
      end = Result { () throws(MalformedMessage) in
        try Acknowledgement(kind: kind, flags: flags, payload: payload[...])
      }
    } else if type >= Replies.firstFamilyType {
      payloads.append(payload)
    }
  }
}

/// libnl calls this for each message that arrives, before it looks at the message itself.
private func collect(message: OpaquePointer?, context: UnsafeMutableRawPointer?) -> Int32 {
  guard let message = unsafe message, let context = unsafe context,
    let header = unsafe nlmsg_hdr(message)
  else { return Int32(NL_OK.rawValue) }
  let replies = unsafe Unmanaged<Replies>.fromOpaque(context).takeUnretainedValue()
  // libnl has checked the length against what was received (nlmsg_ok).
  let payload = unsafe UnsafeRawBufferPointer(
    start: nlmsg_data(header), count: Int(nlmsg_datalen(header)))
  unsafe replies.add(
    type: header.pointee.nlmsg_type, flags: header.pointee.nlmsg_flags, payload: Array(payload))
  return Int32(NL_OK.rawValue)
}
