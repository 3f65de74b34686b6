/// A failure that a user meets: what failed, the likely cause, and what to do about it.
public struct IngestError: Error, Equatable, Sendable, CustomStringConvertible {
  public var kind: Kind
  /// What failed, as a sentence without a full stop.
  public var what: String
  /// The likely cause and the command that mends it.
  public var remedy: String?

  public init(_ kind: Kind, _ what: String, remedy: String? = nil) {
    self.kind = kind
    self.what = what
    self.remedy = remedy
  }

  public var description: String {
    guard let remedy else { return what }
    return "\(what)\n  \(remedy)"
  }

  /// The kinds are the exit codes of the commands.
  public enum Kind: Int32, Sendable, CaseIterable {
    case failed = 1
    case usage = 2
    case notSupported = 3
    case refusedByKernel = 4
    case noPrivilege = 5
    case peerFailed = 6
    case verificationFailed = 7
    case copiedShare = 8
    case notRestored = 9
  }
}
