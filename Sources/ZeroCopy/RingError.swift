import Glibc

/// A refused io_uring call: what was tried, the errno, the likely cause and what to do about it.
public struct RingError: Error, Equatable, CustomStringConvertible {
  /// The step that failed, as a phrase ("set up a ring of 256 entries").
  public let step: String
  /// The errno, positive.
  public let errno: Int32

  /// The first kernel that can do it.
  public let kernel: String
  /// What to do about it, where the step knows better than the errno.
  private let advice: String?
  /// Whether it is the registration of an interface queue that was refused: its errno alone says
  /// little, the NIC's state more.
  public let isRegistration: Bool
  /// Whether there was no ring to be had: the whole of io_uring may be kept from the process.
  public let isRing: Bool

  public init(
    _ step: String, errno: Int32, kernel: String = "6.0", remedy: String? = nil,
    isRegistration: Bool = false, isRing: Bool = false
  ) {
    self.isRegistration = isRegistration
    self.isRing = isRing
    self.step = step
    self.errno = errno
    self.kernel = kernel
    advice = remedy
  }

  public var description: String {
    let text = unsafe String(cString: strerror(errno))
    let base = "could not \(step): \(text) (errno \(errno))"
    guard let remedy else { return base }
    return "\(base); \(remedy)"
  }

  /// The likely cause and the command that mends it, where one is known.
  public var remedy: String? {
    if let advice { return advice }
    switch errno {
    case EPERM:
      return
        "io_uring is switched off here: see `sysctl kernel.io_uring_disabled` (0 allows everyone) "
        + "and the container's seccomp profile"
    case ENOSYS:
      return "this kernel has no io_uring: ingest needs Linux 6.0 or newer (`uname -r`)"
    case ENOMEM:
      return "locked memory is limited: raise it with `ulimit -l` or LimitMEMLOCK=, or ask for less"
    case EINVAL:
      return "this kernel is too old for it: Linux \(kernel) or newer is needed (`uname -r`)"
    case EMFILE:
      return "too many open files: raise the limit with `ulimit -n`"
    default:
      return nil
    }
  }
}
