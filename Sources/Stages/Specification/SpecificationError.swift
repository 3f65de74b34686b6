/// A stage spelled in a way that cannot be followed: what is wrong, what is allowed, an example.
public struct SpecificationError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The flag, as `--parse`.
  public let flag: String
  /// What was given to it.
  public let text: String
  /// What is wrong, as a phrase without a full stop.
  public let problem: String
  /// What would be right, as a phrase.
  public let allowed: String
  /// A value that works.
  public let example: String

  public init(
    flag: String, text: String, problem: String, allowed: String, example: String
  ) {
    self.flag = flag
    self.text = text
    self.problem = problem
    self.allowed = allowed
    self.example = example
  }

  public var description: String { "\(flag) \(text): \(problem)" }
  /// What to give instead.
  public var remedy: String { "allowed: \(allowed); for example: \(flag) \(example)" }
}
