import CommandSupport
import Glibc
import Ingest
import Stages

/// Starts `ingest run` anew when the interface it received from has come back.
///
/// The receiver itself cannot: it gave up the right to bind a queue before it took the first
/// connection, and the kernel lets no other process register one on a running thread's ring
/// (io_uring/register.c: the submitter's task only). So it is a process of its own, and this one,
/// which keeps the privileges, reads nothing that comes from outside. It waits.
final class Rebinding {
  private let ifname: String
  private var policy: RebindPolicy
  private var words: [String]

  /// How often ends and the interface are looked for, in seconds.
  private static let step = 0.1
  /// Not more often than this is a receiver started, in seconds.
  private static let pause = 1.0

  init(_ ifname: String, patience: Double, arguments: [String]) {
    self.ifname = ifname
    policy = RebindPolicy(patience: patience)
    words = ["ingest"] + arguments
  }

  /// Runs receivers until one ends for another reason; gives its exit code.
  func run() throws(IngestError) -> Int32 {
    let signals = try Signals()
    while true {
      let began = monotonicSeconds()
      let end = try runOnce(signals)
      let now = monotonicSeconds()
      switch policy.next(end, now: now) {
      case .end(let code): return code
      case .wait(let deadline):
        if end.isLost {
          say("waiting up to \(Int(deadline - now)) s for \(ifname) to come back")
        }
        guard awaitInterface(signals, from: began + Rebinding.pause, until: deadline) else {
          return end.code
        }
        say("\(ifname) is there: starting anew")
      }
    }
  }

  private func say(_ text: String) { Output.talk.line("note: \(text)") }

  /// One receiver, from its start to its end.
  private func runOnce(_ signals: borrowing Signals) throws(IngestError) -> RebindPolicy.End {
    guard let (here, there) = ChildProcess.sockets() else {
      throw IngestError(.failed, "no socket: \(errorText(errno))")
    }
    defer { close(here) }
    let process = ChildProcess.spawn(
      "/proc/self/exe", words + ["--supervisor", "\(there)"], keeping: [there], inPlace: true)
    close(there)
    guard process > 0 else {
      throw IngestError(.failed, "could not start the receiver: \(errorText(-process))")
    }
    var end = RebindPolicy.End()
    while true {
      if let arrival = signals.arrival(seconds: Rebinding.step) {
        if arrival.number != SIGUSR1 { end.isStopped = true }
        // A terminal has told it already.
        if arrival.wasSent { kill(process, arrival.number) }
      }
      var status: Int32 = 0
      let ended = unsafe waitpid(process, &status, WNOHANG) == process
      while let word = SupervisorWord.receive(from: here) { end.note(word) }
      guard ended else { continue }
      end.note(status: status)
      return end
    }
  }

  /// Whether it is there in time; a signal that asks to stop ends the wait.
  private func awaitInterface(
    _ signals: borrowing Signals, from earliest: Double, until deadline: Double
  ) -> Bool {
    while monotonicSeconds() < deadline {
      if let arrival = signals.arrival(seconds: Rebinding.step), arrival.number != SIGUSR1 {
        return false
      }
      if monotonicSeconds() >= earliest, unsafe if_nametoindex(ifname) != 0 { return true }
    }
    say("\(ifname) did not come back, or nothing could be started on it")
    return false
  }
}

/// What a receiver tells who started it, a byte each.
enum SupervisorWord: UInt8 {
  /// It listens.
  case listening = 1
  /// Its interface is gone.
  case lost = 2

  /// The next one that waits in a socket.
  static func receive(from socket: Int32) -> SupervisorWord? {
    var byte: UInt8 = 0
    guard unsafe recv(socket, &byte, 1, Int32(MSG_DONTWAIT)) == 1 else { return nil }
    return SupervisorWord(rawValue: byte)
  }

  func send(to socket: Int32) {
    var byte = rawValue
    _ = unsafe Glibc.send(socket, &byte, 1, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
  }

  /// Whether who started this process is gone: nobody is left to start it anew, or to stop it.
  static func isOrphaned(_ socket: Int32) -> Bool {
    var byte: UInt8 = 0
    return unsafe recv(socket, &byte, 1, Int32(MSG_PEEK | MSG_DONTWAIT)) == 0
  }
}
