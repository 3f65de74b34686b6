import Synchronization

/// The names of users' stages by number: a fault on the data path carries the number.
public enum StageCatalog {
  private struct Entry: Sendable {
    var name: String
    var sentence: @Sendable (UInt64) -> String
  }

  private static let entries = Mutex<[Entry]>([])

  /// The number of a stage; the same for the same name.
  public static func number<S: RecordStage & ~Copyable>(of stage: S.Type) -> UInt64 {
    number(named: S.name) { S.sentence(for: $0) }
  }

  /// As ``number(of:)`` for what is no Swift type: a plugin.
  public static func number(
    named name: String, sentence: @escaping @Sendable (UInt64) -> String
  ) -> UInt64 {
    entries.withLock { entries in
      if let known = entries.firstIndex(where: { $0.name == name }) { return UInt64(known) }
      entries.append(Entry(name: name, sentence: sentence))
      return UInt64(entries.count - 1)
    }
  }

  /// What stage `number` means by `code`, with its name.
  public static func sentence(_ number: UInt64, code: UInt64) -> String {
    let entry = entries.withLock { $0.indices.contains(Int(number)) ? $0[Int(number)] : nil }
    guard let entry else { return "stage number \(number), which is unknown here: code \(code)" }
    return "stage \(entry.name): \(entry.sentence(code))"
  }
}
