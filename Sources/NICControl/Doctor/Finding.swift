/// One line of what `ingest doctor` found: a fact about this machine, and what it means for
/// zero-copy receive.
public struct Finding: Codable, Sendable, Equatable {
  public var verdict: Verdict
  /// What was looked at, in the field's words.
  public var subject: String
  public var fact: String
  /// The command or the step that mends it, where something does.
  public var remedy: String?

  public enum Verdict: String, Codable, Sendable {
    case ok
    /// It works, with a cost that the fact names, or something else is still to be done.
    case warning
    /// Zero-copy receive cannot start with it.
    case blocks
  }

  public init(_ verdict: Verdict, _ subject: String, _ fact: String, remedy: String? = nil) {
    self.verdict = verdict
    self.subject = subject
    self.fact = fact
    self.remedy = remedy
  }

  /// What blocks, in the words in which a start is refused for it.
  public init(blocks diagnosis: RegistrationDiagnosis, subject: String) {
    self.init(.blocks, subject, diagnosis.what, remedy: diagnosis.remedy)
  }
}
