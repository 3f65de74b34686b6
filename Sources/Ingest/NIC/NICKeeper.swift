import Glibc
import NICControl
import Stages
import Synchronization

/// The process that puts an interface back for a receiver that has given up the right to: the
/// hidden command `nic-keeper` of this program.
///
/// It waits for a word or for the receiver's end, `kill -9` included. Its own end is told as news,
/// and leaves the journal to `ingest nic restore` or the next start.
final class NICKeeper: Sendable {
  private let ifname: String
  private let process: pid_t
  private let socket: Int32
  private let isToldOf = Atomic(false)

  /// Longer than it waits for the kernel to let go of the queues.
  private static let patience: Int32 = 60_000

  /// Starts it, and waits until it has what it needs.
  init(_ ifname: String, holder: Int) throws(IngestError) {
    guard let (here, there) = ChildProcess.sockets() else {
      throw NICKeeper.refusal(ifname, "no socket: \(unsafe String(cString: strerror(errno)))")
    }
    self.ifname = ifname
    socket = here
    let words = [
      "ingest", "nic-keeper", "--ifname", ifname, "--holder", "\(holder)", "--socket", "\(there)",
    ]
    process = ChildProcess.spawn("/proc/self/exe", words, keeping: [there])
    close(there)
    guard process > 0 else {
      close(here)
      throw NICKeeper.refusal(ifname, unsafe String(cString: strerror(-process)))
    }
    guard NICKeeperMessage.receive(from: here, within: NICKeeper.patience) == .ready else {
      close(here)
      kill(process, SIGKILL)
      ChildProcess.wait(for: process)
      throw NICKeeper.refusal(ifname, "it did not get ready")
    }
  }

  private static func refusal(_ ifname: String, _ why: String) -> IngestError {
    IngestError(
      .failed, "could not start the process that puts \(ifname) back: \(why)",
      remedy: "it is this program started as `nic-keeper`; --privileges keep needs none")
  }

  /// That it has ended, once; nil while it waits.
  func news() -> NICNews? {
    guard !isToldOf.load(ordering: .relaxed) else { return nil }
    var word: UInt8 = 0
    let got = unsafe recv(socket, &word, 1, Int32(MSG_PEEK | MSG_DONTWAIT))
    guard got == 0 || got < 0 && errno != EAGAIN && errno != EINTR else { return nil }
    isToldOf.store(true, ordering: .relaxed)
    return NICNews(
      kind: .keeper,
      text: "the process that puts it back (\(process)) has ended: "
        + "`ingest nic restore --ifname \(ifname)` does so after the run")
  }

  /// Has it put the interface back, once. Returns what stays, as sentences.
  func undo() throws(IngestError) -> [String] {
    defer {
      close(socket)
      ChildProcess.wait(for: process)
    }
    _ = NICKeeperMessage.undo.send(to: socket)
    switch NICKeeperMessage.receive(from: socket, within: NICKeeper.patience) {
    case .kept(let sentences): return sentences.map { "\(ifname): \($0)" }
    case .failed(let what): throw NICSetup.notRestored(ifname, what)
    case .ready, .undo, nil:
      kill(process, SIGKILL)
      throw NICSetup.notRestored(ifname, "the process that puts it back has ended or hangs")
    }
  }
}

/// What the two say to each other: a word and sentences, a line each.
enum NICKeeperMessage: Equatable {
  case ready, undo
  /// It is done but for this.
  case kept([String])
  case failed(String)

  private static let most = 64 << 10

  private var text: String {
    switch self {
    case .ready: "ready"
    case .undo: "undo"
    case .kept(let sentences): (["kept"] + sentences).joined(separator: "\n")
    case .failed(let what): "failed\n\(what)"
    }
  }

  private init?(_ text: String) {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    switch lines.first {
    case "ready": self = .ready
    case "undo": self = .undo
    case "kept": self = .kept(Array(lines.dropFirst()))
    case "failed": self = .failed(lines.dropFirst().joined(separator: "\n"))
    default: return nil
    }
  }

  func send(to socket: Int32) -> Bool {
    let bytes = Array(text.utf8.prefix(NICKeeperMessage.most))
    return unsafe Glibc.send(socket, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
  }

  /// Nil where the other side is gone, says nothing within so many milliseconds (-1 is for ever),
  /// or something else.
  static func receive(from socket: Int32, within milliseconds: Int32) -> NICKeeperMessage? {
    var wait = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
    var ready: Int32
    repeat { ready = unsafe poll(&wait, 1, milliseconds) } while ready < 0 && errno == EINTR
    guard ready > 0 else { return nil }
    var bytes = [UInt8](repeating: 0, count: most)
    let got = unsafe bytes.withUnsafeMutableBytes { buffer in
      unsafe recv(socket, buffer.baseAddress, buffer.count, 0)
    }
    guard got > 0 else { return nil }
    return NICKeeperMessage(String(decoding: bytes[..<got], as: UTF8.self))
  }
}
