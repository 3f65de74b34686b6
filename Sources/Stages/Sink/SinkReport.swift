import Glibc

/// What a sink has done so far. One thread writes these; each only grows.
@frozen
public struct SinkCounters: Equatable, Sendable, BitwiseCopyable {
  /// Bytes that reached their target, or that a discarding sink let go of. Of a file that failed
  /// later, also those behind its first missing byte, which are cut off again.
  public var bytes: UInt64 = 0
  /// Bytes copied within memory first, because their record spans leases or writes are direct.
  public var copiedBytes: UInt64 = 0
  /// Writes the kernel completed, and those of them that the receiving thread waited for.
  public var writes: UInt64 = 0
  public var syncWrites: UInt64 = 0
  /// Records whose end, and bytes that, came to the sink and not to their target: no consumer took
  /// or gave them back, their write failed, or their record never ended.
  public var lostRecords: UInt64 = 0
  public var lostBytes: UInt64 = 0
  /// Bytes of connections that were refused before these bytes were shown to the sink, and bytes
  /// that a stage before it let go of.
  public var refusedBytes: UInt64 = 0
  public var stageDroppedBytes: UInt64 = 0
  /// Bytes that zero-copy sends took, and bytes that the kernel copied to send them: those of plain
  /// sends, and those of which a zero-copy send's notification says so.
  public var zeroCopyBytes: UInt64 = 0
  public var kernelCopiedBytes: UInt64 = 0
  /// How often the reader was full, bytes that then waited aside, those of them that were written
  /// since, and how often even that had no room, so that the receiving thread waited.
  public var fullTimes: UInt64 = 0
  public var spilledBytes: UInt64 = 0
  public var replayedBytes: UInt64 = 0
  public var spillWaits: UInt64 = 0
  /// Records and bytes that were dropped because the reader was behind.
  public var droppedRecords: UInt64 = 0
  public var droppedBytes: UInt64 = 0
  /// How often the receiving thread waited: for the sink's reader, for a write that it makes by
  /// itself, or for the thread that has the next part of the chain.
  public var waits: UInt64 = 0
  /// Files opened, and fsync(2) calls that completed.
  public var files: UInt64 = 0
  public var fsyncs: UInt64 = 0
  /// Files that were to be written with O_DIRECT and are not: the file system refuses it.
  public var indirectFiles: UInt64 = 0
  /// Records at which a file was due to end and went on, since no descriptor was free for the next.
  public var lateRotations: UInt64 = 0
  /// Failures, including those beyond the number that ``Sink/failures`` keeps.
  public var failures: UInt64 = 0

  @inlinable
  public init() {}
}

/// Data that could not be written: where, why, and up to which byte the target can be trusted.
public struct SinkFailure: Error, Equatable, Sendable, CustomStringConvertible {
  /// The target: a path, or a name such as "standard output".
  public let target: String
  public let step: Step
  /// The errno, positive.
  public let errno: Int32
  /// Bytes from the start of the target that are whole and, for a file, were fsynced.
  public let safeBytes: UInt64
  /// What happened, where no errno says it, and what mends that.
  let detail: String?
  let advice: String?

  /// What the sink was doing.
  public enum Step: String, Sendable, BitwiseCopyable { case open, write, sync, close, rename }

  public init(target: String, step: Step, errno: Int32, safeBytes: UInt64) {
    self.target = target
    self.step = step
    self.errno = errno
    self.safeBytes = safeBytes
    detail = nil
    advice = nil
  }

  /// A failure with a sentence of its own.
  init(target: String, detail: String, remedy: String?) {
    self.target = target
    step = .write
    errno = EPIPE
    safeBytes = 0
    self.detail = detail
    advice = remedy
  }

  public var description: String {
    if let detail { return "\(target): \(detail)" }
    if errno == EPIPE {
      return "\(target) was closed by its reader after \(safeBytes) bytes"
    }
    let text = unsafe String(cString: strerror(errno))
    let what = "could not \(step.rawValue) \(target): \(text) (errno \(errno))"
    return step == .open ? what : "\(what); the first \(safeBytes) bytes are safe"
  }

  /// The likely cause and what mends it, where one is known.
  public var remedy: String? {
    if detail != nil { return advice }
    switch errno {
    case EPIPE:
      return "the command behind the pipe ended early: let it read to the end, or write to a file"
    case ENOSPC:
      return "the disk is full (`df -h`, `df -i`): free some space or give another PATH"
    case EDQUOT:
      return "the disk quota is used up (`quota -s`): free some space or give another PATH"
    case EFBIG:
      return "the file reached the size limit: raise it with `ulimit -f` or LimitFSIZE="
    case EIO:
      return "the disk failed: see `dmesg`; what is not counted as safe has to be sent again"
    case EEXIST:
      return "files are not overwritten: remove it, give a PATH with %s (start of the run), or add "
        + "overwrite=yes"
    case EMFILE, ENFILE:
      return "too many open files: raise the limit with `ulimit -n`, or use layout=one"
    case EACCES, EPERM, EROFS:
      return "check the directory's owner and mode (`ls -ld`), or give another PATH"
    case ENOENT:
      return "a directory of the path is missing: make it with `mkdir -p`"
    case EINVAL where step == .open:
      return "it is not a regular file: for pipes and terminals use --sink stdout"
    default:
      return nil
    }
  }
}

/// Why a sink cannot start: what is wrong, and what to do about it.
public struct SinkError: Error, Equatable, Sendable, CustomStringConvertible {
  public let kind: Kind
  /// What is wrong, as a sentence without a full stop.
  public let what: String
  public let remedy: String?

  /// Whether the options are wrong, or the system refused.
  public enum Kind: Sendable { case usage, failed }

  public init(_ kind: Kind, _ what: String, remedy: String? = nil) {
    self.kind = kind
    self.what = what
    self.remedy = remedy
  }

  public init(_ failure: SinkFailure) {
    self.init(.failed, failure.description, remedy: failure.remedy)
  }

  public var description: String {
    guard let remedy else { return what }
    return "\(what)\n  \(remedy)"
  }
}

/// Which bytes of a record are written.
public enum SinkBytes: String, Codable, Sendable, CaseIterable {
  /// Framing and payload: what was sent, byte for byte, which can be parsed again.
  case all
  /// Payload only.
  case payload
}

/// The failures kept for a report. A failure is rare and ends what it concerns, so an array may
/// grow here; its number is bounded all the same, the rest is counted.
struct FailureList {
  private(set) var stored: [SinkFailure] = []
  static let limit = 256

  mutating func append(_ failure: SinkFailure) {
    if stored.count < FailureList.limit { stored.append(failure) }
  }
}
