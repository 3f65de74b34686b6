/// How ``SharedSink`` hands records to another process; spelled `shm:PATH,ring=N,…`.
public struct SharedSinkOptions: Equatable, Sendable {
  /// Where it listens; `%t` is the receiving thread, needed where there are several.
  public var path: String
  /// Records that the ring holds, a power of two.
  public var ring = 8192
  public var onDeath = OnDeath.stop
  /// Whether data wait for a consumer where there is none; otherwise they are let go of.
  public var wait = true
  /// Whether whole records are dropped, counted and their connections named, where the consumer is
  /// behind; and how many bytes it may have then, 0 for half of the area.
  public var dropsRecords = false
  public var queue = 0

  public init(path: String) { self.path = path }

  /// What follows when a consumer goes away before the end.
  public enum OnDeath: String, Codable, Sendable, CaseIterable {
    /// The run ends, as failed.
    case stop
    /// What it had is lost, and the next consumer is waited for.
    case `continue`
  }

  /// 128 B to 64 MiB of records.
  static let ringSizes = 2...1 << 20

  /// The socket of a thread.
  func path(thread: Int) -> String { path.replacing(thread: thread) }
}

extension String {
  /// This path with the number of a receiving thread for every `%t`.
  func replacing(thread: Int) -> String {
    var result = ""
    var rest = self[...]
    while let sign = rest.firstIndex(of: "%") {
      let next = rest.index(after: sign)
      result += rest[..<sign]
      if next < rest.endIndex, rest[next] == "t" {
        result += "\(thread)"
        rest = rest[rest.index(after: next)...]
      } else {
        result += "%"
        rest = rest[next...]
      }
    }
    return result + rest
  }
}
