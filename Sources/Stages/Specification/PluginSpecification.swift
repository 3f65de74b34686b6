/// A stage from a shared object, as it is spelled: `PATH` or `PATH?key=value,key=value`,
/// with `isolated:` before it where it is to run in a process of its own.
public struct PluginSpecification: Equatable, Sendable, CustomStringConvertible {
  /// The shared object, as given: a path with or without a slash, never searched for.
  public let path: String
  /// What follows the `?`, for the stage to read; checked for its form only.
  public let options: String

  /// Whether it runs in a process of its own: `isolated:` comes before the path.
  public let isIsolated: Bool

  /// What comes before the path of an isolated stage.
  public static let isolated = "isolated:"
  /// Most stages of one chain: which of them let go of a record is kept in a byte.
  public static let most = 8

  public init(_ text: String) throws(SpecificationError) {
    isIsolated = text.hasPrefix(PluginSpecification.isolated)
    let rest = isIsolated ? text.dropFirst(PluginSpecification.isolated.count) : text[...]
    let parts = rest.parts(at: "?", most: 2)
    path = parts.first.map(String.init) ?? ""
    options = parts.count > 1 ? String(parts[1]) : ""
    func refusal(_ problem: String, _ allowed: String) -> SpecificationError {
      SpecificationError(
        flag: "--stage", text: text, problem: problem, allowed: allowed,
        example: "./libwords.so?drop=DEBUG")
    }
    guard !path.isEmpty, !text.utf8.contains(0) else {
      throw refusal("the path is missing", "PATH[?key=value,…]")
    }
    guard parts.count > 1 else { return }
    var keys: Set<Substring> = []
    for option in options[...].parts(at: ",") {
      let key = option.prefix { $0 != "=" }
      guard !key.isEmpty else {
        throw refusal("an option is empty", "key=value after the ?, with single commas between")
      }
      guard keys.insert(key).inserted else {
        throw refusal("\(key) is given twice", "each option once")
      }
    }
  }

  /// Reads the stages of a chain, in order.
  public static func list(_ texts: [String]) throws(SpecificationError) -> [PluginSpecification] {
    var list: [PluginSpecification] = []
    for text in texts {
      guard list.count < most else {
        throw SpecificationError(
          flag: "--stage", text: text, problem: "a chain has at most \(most) of them",
          allowed: "--stage up to \(most) times", example: "./libwords.so")
      }
      list.append(try PluginSpecification(text))
    }
    return list
  }

  public var description: String {
    (isIsolated ? PluginSpecification.isolated : "") + path + (options.isEmpty ? "" : "?\(options)")
  }
}
