import CIngestKernel
import Glibc

/// What a sink does while its reader takes nothing more; spelled `full=block`, `full=drop` and
/// `full=spill,spill=FOLDER`, with `queue=SIZE` for how much may wait.
public struct OverflowOptions: Equatable, Sendable {
  public var policy = Policy.block
  /// The most bytes that wait for the reader: in memory with `drop`, on disk with `spill`. Where
  /// connections share them, one alone gets half with `drop`.
  public var limit = 0
  /// Where the spill file is made; it has no name there and goes with the process.
  public var folder = ""

  public init() {}

  public enum Policy: String, Codable, Sendable, CaseIterable {
    /// The receiving thread waits: sockets fill, and TCP slows the senders down.
    case block
    /// What has no room goes to a file and follows in order; a full file waits like `block`.
    case spill
    /// Whole records that have no room are dropped, counted, and their connections named.
    case drop
  }

  /// What `queue` is unless said otherwise.
  static func standardLimit(_ policy: Policy) -> Int { policy == .drop ? 1 << 20 : 1 << 30 }
}

extension OverflowOptions {
  /// Takes its options out of a sink's spelling.
  static func taken(
    from spelled: inout SpelledStage
  ) throws(SpecificationError) -> OverflowOptions {
    var options = OverflowOptions()
    options.policy = try spelled.takeCase("full", of: Policy.self) ?? .block
    guard options.policy != .block else { return options }
    options.limit =
      try spelled.takeSize("queue", in: 4096...1 << 40) ?? standardLimit(options.policy)
    guard options.policy == .spill else { return options }
    guard let folder = try spelled.take("spill", allowed: "FOLDER") else {
      throw spelled.refusal("full=spill needs a folder", allowed: "full=spill,spill=FOLDER")
    }
    options.folder = folder
    return options
  }

  /// The canonical spelling, to stand behind other options; empty for `block`.
  var spelled: String {
    guard policy != .block else { return "" }
    return ",full=\(policy.rawValue),queue=\(ByteSize.spelled(limit))"
      + (policy == .spill ? ",spill=\(folder)" : "")
  }
}

extension OverflowOptions {
  /// The file for what waits, without a name. Errors: no such folder, no right to write there, no
  /// memory.
  func openFile() throws(SinkError) -> Int32 {
    let opened = policy == .drop ? ik_memfd(0, 0) : unsafe ik_open_nameless(folder)
    guard opened >= 0 else {
      throw SinkError(
        SinkFailure(
          target: policy == .drop ? "memory for what waits" : folder, step: .open,
          errno: -opened, safeBytes: 0))
    }
    return opened
  }
}
