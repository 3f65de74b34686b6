import Glibc
import ZeroCopy

/// The bytes of a file or of standard input, read straight into the slots, sent as they are. Owns
/// its descriptor unless it is standard input.
struct FileContent: SendContent, ~Copyable {
  /// How long a source that has nothing yet may hold the ring up: completions and flags are looked
  /// at in between (milliseconds).
  static let patience: Int32 = 50

  private let descriptor: Int32
  private let isRegular: Bool
  private var budget: SendBudget
  private(set) var failure: Int32 = 0

  /// Opens `path` (`-`: standard input). Errors name the path and what to do.
  init(path: String, budget: SendBudget) throws(IngestError) {
    let descriptor = unsafe path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileContent.refusal(path, errno: errno) }
    var status = stat()
    let known = unsafe fstat(descriptor, &status) == 0
    let kind = status.st_mode & S_IFMT
    if known && kind == S_IFDIR {
      if descriptor != STDIN_FILENO { close(descriptor) }
      throw FileContent.refusal(path, errno: EISDIR)
    }
    isRegular = known && kind == S_IFREG
    self.descriptor = descriptor
    self.budget = budget
  }

  deinit { if descriptor != STDIN_FILENO { close(descriptor) } }

  mutating func prepare(_ slot: UnsafeMutableRawBufferPointer) {}

  mutating func fill(
    stream: Int, finishing: Bool, into slot: UnsafeMutableRawBufferPointer
  ) -> SendFill {
    if finishing || budget.isSpent || failure != 0 { return .ended }
    let wanted = Int(min(UInt64(slot.count), budget.bytes))
    var length = 0
    while length < wanted {
      if !isRegular {
        // A pipe's bytes go out as they come; only an empty one is waited for.
        var poller = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        let ready = unsafe poll(&poller, 1, length == 0 ? FileContent.patience : 0)
        if ready <= 0 { break }
      }
      // In bounds: length < wanted <= slot.count.
      let got = unsafe read(descriptor, slot.baseAddress! + length, wanted - length)
      if got == 0 { return length == 0 ? .ended : done(length) }
      if got > 0 {
        length += got
      } else if errno != EINTR && errno != EAGAIN {
        failure = errno
        return length == 0 ? .ended : done(length)
      }
    }
    return length == 0 ? .later : done(length)
  }

  private mutating func done(_ length: Int) -> SendFill {
    budget.spend(bytes: length)
    return SendFill(length: length, records: 0)
  }

  private static func refusal(_ path: String, errno: Int32) -> IngestError {
    let why = unsafe String(cString: strerror(errno))
    let remedy =
      switch errno {
      case ENOENT: "there is no such file: check the path, or use `-` for standard input"
      case EACCES: "`ls -l` shows who may read it"
      case EISDIR: "a directory cannot be sent; `tar -c DIR | ingest-send --file -` can"
      default: "`stat` shows what it is"
      }
    let name = path == "-" ? "standard input" : path
    return IngestError(.usage, "cannot read \(name): \(why)", remedy: remedy)
  }
}
