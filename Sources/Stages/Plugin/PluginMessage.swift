import CIngestKernel
import CIngestStage
import Glibc
import RingCore

/// What ingest and a stage's process say to each other over their socket: a request, then its
/// answer. Pieces, answers and texts lie on the ``PluginDesk``.
struct PluginMessage: BitwiseCopyable {
  enum Kind: UInt32 {
    /// From the process, once: it has an instance (status 0) or not, with a text on the desk.
    case hello, open, close, take, flush, sentence, end
    /// To the loader: have a process with the socket that comes along (`word` is its number), and
    /// end one by its number (`status` is what waitpid says).
    case start, finish
  }

  var kind: UInt32
  /// 0, or what went wrong.
  var status: Int32 = 0
  var slot: UInt32 = 0
  /// Pieces, or the reason of an end.
  var count: UInt32 = 0
  /// The connection's serial number, or the time.
  var word: UInt64 = 0
  /// A code of the stage's, or what `hello` says the stage can do.
  var code: UInt64 = 0
  var isRecordEnd = false
  var peer = ik_endpoint()

  init(_ kind: Kind) { self.kind = kind.rawValue }

  /// What `hello` says: bits of `code`.
  static let reads: UInt64 = 1
  static let opens: UInt64 = 2
  static let closes: UInt64 = 4
  static let flushes: UInt64 = 8

  /// Sends it; false where the other side is gone. The kernel call is `send`.
  func send(to socket: Int32) -> Bool {
    var message = self
    let size = MemoryLayout<PluginMessage>.size
    return unsafe Glibc.send(socket, &message, size, Int32(MSG_NOSIGNAL)) == size
  }

  /// Waits for the next one; nil where the other side is gone, or says something else. The kernel
  /// call is `recv`.
  static func receive(from socket: Int32) -> PluginMessage? {
    var message = PluginMessage(.end)
    let size = MemoryLayout<PluginMessage>.size
    while true {
      let count = unsafe recv(socket, &message, size, 0)
      if count == size { return message }
      guard count < 0, errno == EINTR else { return nil }
    }
  }
}

/// Memory that ingest and a stage's process share: the pieces of a batch, its answers, a text.
///
/// Memory: 36 KiB.
@safe
struct PluginDesk: ~Copyable {
  let descriptor: Int32
  private let base: UnsafeMutableRawPointer

  private static var answersAt: Int {
    unsafe MemoryLayout<ingest_stage_piece>.stride * PluginStage.capacity
  }
  private static var textAt: Int {
    answersAt + MemoryLayout<ingest_stage_answer>.stride * PluginStage.capacity
  }
  private static var byteCount: Int { textAt + PluginText.limit }

  /// Maps a desk that was made by the other side, or makes one. The kernel calls are
  /// `memfd_create` and `mmap`.
  init(descriptor given: Int32? = nil) throws(SinkError) {
    descriptor = given ?? ik_memfd(PluginDesk.byteCount, 0)
    let memory =
      descriptor < 0
      ? nil
      : unsafe mmap(
        nil, PluginDesk.byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
    guard let memory = unsafe memory, unsafe memory != MAP_FAILED else {
      if descriptor >= 0 && given == nil { close(descriptor) }
      throw SinkError(
        .failed, "no memory to share with a stage's process: errno \(errno)",
        remedy: "`sysctl vm.memfd_noexec` and the container's seccomp profile may forbid memfds")
    }
    unsafe base = memory
  }

  deinit {
    unsafe munmap(base, PluginDesk.byteCount)
    close(descriptor)
  }

  var pieces: UnsafeMutablePointer<ingest_stage_piece> {
    unsafe base.assumingMemoryBound(to: ingest_stage_piece.self)
  }
  var answers: UnsafeMutablePointer<ingest_stage_answer> {
    unsafe (base + PluginDesk.answersAt).assumingMemoryBound(to: ingest_stage_answer.self)
  }

  /// A text of at most 511 bytes.
  var text: String {
    get {
      let bytes = unsafe UnsafeRawBufferPointer(
        start: base + PluginDesk.textAt, count: PluginText.limit)
      return unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    nonmutating set {
      let place = unsafe UnsafeMutableRawBufferPointer(
        start: base + PluginDesk.textAt, count: PluginText.limit)
      unsafe place.copyBytes(from: Array(newValue.utf8.prefix(PluginText.limit - 1)) + [0])
    }
  }
}
