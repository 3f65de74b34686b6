import CIngestKernel
import Glibc

/// The process that has loaded a shared object and copies itself for each instance, as the thread
/// that starts it sees it.
struct PluginLoader: BitwiseCopyable {
  private var control: Int32 = -1
  private var process: pid_t = 0

  var isThere: Bool { control >= 0 }

  /// Starts it. Returns what the shared object can do. Errors: what is wrong with that.
  mutating func load(
    _ path: String, _ options: String, _ place: PluginPlace, _ desk: borrowing PluginDesk
  ) throws(SinkError) -> UInt64 {
    guard let (here, there) = ChildProcess.sockets() else {
      throw PluginProcess.refusal(path, "no socket: errno \(errno)")
    }
    let words =
      [
        "ingest", "stage-host", "--library", path, "--options=?\(options)", "--control", "\(there)",
        "--desk", "\(desk.descriptor)", "--area", "\(place.areaDescriptor)", "--area-bytes",
        "\(place.areaBytes)", "--thread", "\(place.thread)", "--threads", "\(place.threads)",
        "--max-connections", "\(place.maxConnections)", "--parent", "\(getpid())",
      ] + (place.drop.map { ["--drop=\($0)"] } ?? [])
    process = ChildProcess.spawn(
      place.executable, words, keeping: [there, desk.descriptor, place.areaDescriptor])
    Glibc.close(there)
    guard process > 0 else {
      Glibc.close(here)
      throw PluginProcess.refusal(path, "\(unsafe String(cString: strerror(-process)))")
    }
    control = here
    // Loading may take long; once.
    var wait = pollfd(fd: here, events: Int16(POLLIN), revents: 0)
    while unsafe poll(&wait, 1, 10_000) < 0 && errno == EINTR {}
    guard wait.revents != 0, let hello = PluginMessage.receive(from: here) else {
      let isLate = wait.revents == 0
      kill(process, SIGKILL)
      let status = ended()
      throw PluginProcess.refusal(
        path, isLate ? "it did not answer" : "it " + PluginEnd(status: status).words)
    }
    guard hello.status == 0 else {
      let text = desk.text
      _ = ended()
      throw SinkError(hello, text)
    }
    return hello.code
  }

  /// Has a process serve at that socket; its number, 0 where there is none.
  func start(_ socket: Int32) -> pid_t {
    var message = PluginMessage(.start)
    let size = MemoryLayout<PluginMessage>.size
    guard unsafe ik_send_descriptors(control, &message, size, [socket], 1, 0) == size,
      let answer = PluginMessage.receive(from: control), answer.status == 0
    else { return 0 }
    return pid_t(truncatingIfNeeded: answer.word)
  }

  /// Ends a process, which may have ended; what waitpid(2) says of it.
  func finish(_ process: pid_t) -> Int32 {
    var message = PluginMessage(.finish)
    message.word = UInt64(process)
    // Where the loader has ended, so have those that it made.
    guard message.send(to: control), let answer = PluginMessage.receive(from: control) else {
      return SIGKILL
    }
    return answer.status
  }

  /// Lets go of it, for good: it ends by itself.
  func end() {
    guard control >= 0 else { return }
    Glibc.close(control)
    ChildProcess.wait(for: process)
  }

  private mutating func ended() -> Int32 {
    Glibc.close(control)
    control = -1
    return ChildProcess.wait(for: process)
  }
}
