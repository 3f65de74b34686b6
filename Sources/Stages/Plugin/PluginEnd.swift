import Glibc
import Synchronization

/// How a stage's process ended, as a code that faults carry beside the stage's own.
struct PluginEnd {
  let code: UInt64

  private static let mark: UInt64 = 0xffff_ff00_0000_0000
  private enum Kind: UInt64 { case signal, exit, late, absent }

  private init(code: UInt64) { self.code = code }

  private init(_ kind: Kind, _ value: UInt64) {
    code = PluginEnd.mark | kind.rawValue << 32 | value & 0xffff_ffff
  }

  static func late(milliseconds: Int) -> PluginEnd { PluginEnd(.late, UInt64(milliseconds)) }
  /// It could not be started again.
  static let absent = PluginEnd(.absent, 0)

  /// From what waitpid(2) says.
  init(status: Int32) {
    let signal = status & 0x7f
    self =
      signal != 0
      ? PluginEnd(.signal, UInt64(signal)) : PluginEnd(.exit, UInt64(status >> 8 & 0xff))
  }

  /// What happened, as the end of a sentence.
  var words: String {
    let value = code & 0xffff_ffff
    switch Kind(rawValue: code >> 32 & 0xff) {
    case .signal:
      // A stage may have such a code of its own.
      let number = Int32(truncatingIfNeeded: value)
      let name = unsafe strsignal(number).map { unsafe String(cString: $0) } ?? ""
      return "was ended by signal \(value) (\(name))"
    case .exit: return "ended with exit code \(value)"
    case .late: return "took longer than \(value) ms"
    case .absent, nil: return "could not be started again"
    }
  }

  /// A sentence about a connection without a full stop; nil where the code is one of the stage's.
  static func sentence(for code: UInt64) -> String? {
    guard code & mark == mark, let kind = Kind(rawValue: code >> 32 & 0xff) else { return nil }
    let words = "its process " + PluginEnd(code: code).words
    switch kind {
    case .signal, .exit: return words + " over records of this connection; a new one was started"
    case .late:
      return words + " over records of this connection and was ended; a new one was started "
        + "(--stage-timeout sets the time)"
    case .absent: return words
    }
  }
}

/// What stages in processes of their own mean by their codes: asked for when a code first comes, so
/// that it can be told when the process is gone.
enum PluginSentences {
  private static let known = Mutex<[String: [UInt64: String]]>([:])
  /// Codes remembered of a stage.
  static let limit = 256

  static func sentence(of name: String, code: UInt64) -> String {
    PluginEnd.sentence(for: code)
      ?? known.withLock { $0[name]?[code] } ?? "code \(code)"
  }

  /// Whether a code's sentence is to be asked for.
  static func wants(_ name: String, _ code: UInt64) -> Bool {
    known.withLock { known in
      let codes = known[name, default: [:]]
      return codes[code] == nil && codes.count < limit
    }
  }

  static func learn(_ name: String, _ code: UInt64, _ sentence: String) {
    known.withLock { $0[name, default: [:]][code] = sentence }
  }
}
