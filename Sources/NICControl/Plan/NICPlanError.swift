/// Why a NIC cannot be set up as wished, and what to do about it.
public struct NICPlanError: Error, Equatable, Sendable {
  public enum Kind: Sendable {
    /// The wish makes no sense, or is not safe.
    case usage
    /// The NIC or its driver has no such thing.
    case notSupported
    /// The kernel or the driver refused it.
    case refused
    case noPrivilege
    case failed
  }

  public var kind: Kind
  public var what: String
  public var remedy: String?

  public init(_ kind: Kind, _ what: String, remedy: String? = nil) {
    self.kind = kind
    self.what = what
    self.remedy = remedy
  }
}
