import Glibc

/// Something could not be given up, or not be asked for.
public struct PrivilegeError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Whether what was asked for makes no sense, rather than that the kernel refused.
  public var isUsage: Bool
  /// What failed, as a sentence without a full stop.
  public var what: String
  /// The likely cause, and what to do about it.
  public var remedy: String?

  init(usage what: String, remedy: String? = nil) {
    isUsage = true
    self.what = what
    self.remedy = remedy
  }

  init(refused what: String, remedy: String) {
    isUsage = false
    self.what = what
    self.remedy = remedy
  }

  /// A call that answered with this errno, as `could not STEP`.
  init(_ step: String, errno code: Int32, remedy: String? = nil) {
    isUsage = false
    what = "could not \(step): \(unsafe String(cString: strerror(code)))"
    self.remedy = remedy
  }

  public var description: String { remedy.map { "\(what)\n  \($0)" } ?? what }
}
