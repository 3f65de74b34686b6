/// How the kernel ended an exchange: the errno (0: done) and its words.
///
/// Both an acknowledgement (NLMSG_ERROR) and the end of a dump (NLMSG_DONE) carry them; the words
/// come because the socket asked for them (NETLINK_EXT_ACK; include/uapi/linux/netlink.h).
struct Acknowledgement: Equatable {
  /// Positive.
  let errno: Int32
  let message: String?

  /// Which of the two kinds of message it stands in.
  enum Kind: UInt16 {
    case error = 2
    case done = 3
  }

  private static let cappedFlag: UInt16 = 0x100
  private static let attributesFlag: UInt16 = 0x200
  private static let headerSize = 16
  private static let messageAttribute: UInt16 = 1

  init(kind: Kind, flags: UInt16, payload: ArraySlice<UInt8>) throws(MalformedMessage) {
    guard let code = payload.number(at: 0, as: UInt32.self) else {
      // Old dumps end without a status.
      guard kind == .done, payload.isEmpty else {
        throw MalformedMessage("an acknowledgement of \(payload.count) bytes")
      }
      errno = 0
      message = nil
      return
    }
    // Negative errnos come in both kinds.
    errno = Int32(clamping: Int32(bitPattern: code).magnitude)
    guard flags & Acknowledgement.attributesFlag != 0 else {
      message = nil
      return
    }
    var start = 4
    if kind == .error {
      // The header of the request, whose first word is its length, is repeated in front of the
      // words; the rest of the request too where the kernel does not cap it.
      guard let length = payload.number(at: 4, as: UInt32.self) else {
        throw MalformedMessage("an acknowledgement that is cut short")
      }
      let isCapped = flags & Acknowledgement.cappedFlag != 0
      start += Attributes.aligned(
        isCapped ? Acknowledgement.headerSize : max(Acknowledgement.headerSize, Int(length)))
    }
    guard start <= payload.count else {
      throw MalformedMessage("an acknowledgement that is cut short")
    }
    message = try Attributes(payload.dropFirst(start)).text(Acknowledgement.messageAttribute)
  }
}
