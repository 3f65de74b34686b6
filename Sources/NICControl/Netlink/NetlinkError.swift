import Glibc

/// A request about a network device that the kernel refused, with the reason in its own words
/// where it gave one.
public struct NetlinkError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What was asked, as a phrase ("read the rings of eth0").
  public let request: String
  /// The errno, positive.
  public let errno: Int32
  /// The kernel's extended acknowledgement, or what else is known beyond the errno.
  public let message: String?

  public init(_ request: String, errno: Int32, message: String? = nil) {
    self.request = request
    self.errno = errno
    self.message = message
  }

  /// Whether the device or the kernel has no such setting, as opposed to a failure.
  public var isNotSupported: Bool {
    errno == EOPNOTSUPP || errno == NetlinkError.internalNotSupported
  }

  /// ENOTSUPP, which drivers return although it is not for user space (include/linux/errno.h).
  private static let internalNotSupported: Int32 = 524

  public var description: String {
    let text =
      errno == NetlinkError.internalNotSupported
      ? "Operation not supported" : unsafe String(cString: strerror(errno))
    let base = "could not \(request): \(text) (errno \(errno))"
    guard let message else { return base }
    return "\(base): \(message)"
  }
}

/// Bytes that are not what the kernel's ABI says, found by a parser.
struct MalformedMessage: Error, Equatable {
  let what: String

  init(_ what: String) { self.what = what }
}

extension NetlinkError {
  init(_ request: String, malformed: MalformedMessage) {
    self.init(request, errno: EBADMSG, message: malformed.what)
  }

  /// What a parser reads from an answer, or its complaint as an error of the request.
  static func reading<Value>(
    _ request: String, _ read: () throws(MalformedMessage) -> Value
  ) throws(NetlinkError) -> Value {
    do throws(MalformedMessage) {
      return try read()
    } catch {
      throw NetlinkError(request, malformed: error)
    }
  }
}
