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
    /// It works, with a cost that the fact names.
    case warning
    /// Zero-copy receive cannot work with it.
    case blocks
  }

  init(_ verdict: Verdict, _ subject: String, _ fact: String, remedy: String? = nil) {
    self.verdict = verdict
    self.subject = subject
    self.fact = fact
    self.remedy = remedy
  }
}

/// Looks at the machine and explains it.
public enum Doctor {
  /// Everything that is known about the kernel, in order of need.
  ///
  /// - Cost: some reads of /proc and a handful of system calls; nothing is changed.
  public static func kernel() -> [Finding] { KernelFindings.all() }
}
