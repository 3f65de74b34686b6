import CIngestKernel
import CIngestStage
import Glibc
import RingCore

/// A plugin in a process of its own, as the thread that asks it sees it.
///
/// Another process, the loader, has loaded the shared object once, and copies itself for this one:
/// so a new one needs no right to start programs or to open the object's file.
///
/// The thread waits for each answer, at most as long as the time-out says; a process that ends or
/// is late is ended, and a new one gets the connections that are still open. Nothing of a batch
/// stays with the process once it has answered, so its end costs no buffer.
///
/// - Cost: a send and a recv here and there for each batch, and two wake-ups.
@safe
struct PluginProcess: ~Copyable {
  let path: String
  let options: String
  private let place: PluginPlace
  let desk: PluginDesk
  private var loader = PluginLoader()
  private var process: pid_t = 0
  private var socket: Int32 = -1
  private(set) var name = ""
  private(set) var abilities: UInt64 = 0
  /// How the process ended; nil while it runs.
  private(set) var end: PluginEnd?
  /// Times that it ended against our will.
  private(set) var ends = 0
  /// What a new process must be told of.
  private let connections: UnsafeMutablePointer<Connection?>

  /// Without a process yet.
  init(path: String, options: String, place: PluginPlace) throws(SinkError) {
    let desk = try PluginDesk()
    self.path = path
    self.options = options
    self.place = place
    self.desk = desk
    unsafe connections = .allocate(capacity: place.maxConnections)
    unsafe connections.initialize(repeating: nil, count: place.maxConnections)
  }

  deinit {
    if process > 0 {
      _ = loader.finish(process)
      Glibc.close(socket)
    }
    loader.end()
    unsafe connections.deallocate()
  }

  /// A code other than 0 refuses the connection.
  mutating func open(_ connection: Connection) -> UInt64 {
    unsafe connections[Int(connection.slot)] = connection
    return tell(connection)
  }

  private mutating func tell(_ connection: Connection) -> UInt64 {
    guard abilities & PluginMessage.opens != 0 || end != nil else { return 0 }
    var message = PluginMessage(.open)
    message.slot = connection.slot
    message.word = connection.serial
    message.peer = connection.peer.raw
    guard let answer = call(message) else { return end?.code ?? 0 }
    return answer.code
  }

  mutating func close(_ connection: Connection, _ end: StreamEnd, recordEnded: Bool) {
    unsafe connections[Int(connection.slot)] = nil
    guard abilities & PluginMessage.closes != 0 else { return }
    var message = PluginMessage(.close)
    message.slot = connection.slot
    message.word = connection.serial
    message.count = end.pluginReason
    message.isRecordEnd = recordEnded
    _ = call(message)
  }

  mutating func flush() {
    if abilities & PluginMessage.flushes != 0 { _ = call(PluginMessage(.flush)) }
  }

  /// Asks about the first `count` pieces of the desk.
  mutating func ask(_ count: Int, now: UInt64) {
    var message = PluginMessage(.take)
    message.count = UInt32(count)
    message.word = now
    _ = call(message)
  }

  mutating func sentence(for code: UInt64) -> String? {
    var message = PluginMessage(.sentence)
    message.code = code
    return call(message).map { _ in desk.text }
  }

  /// Once, when nothing more comes: what went wrong in the stage, and how often it ended.
  mutating func stop() -> String? {
    let answer = call(PluginMessage(.end))
    var said = answer.flatMap { $0.status == 0 ? nil : desk.text }
    if process > 0 {
      // It ends by itself; what it still has to write it may write until the time is up.
      var wait = pollfd(fd: socket, events: 0, revents: 0)
      _ = unsafe poll(&wait, 1, Int32(clamping: place.timeoutMilliseconds))
      _ = loader.finish(process)
      Glibc.close(socket)
      process = 0
    }
    if ends > 0 {
      let times = ends == 1 ? "once" : "\(ends) times"
      said = (said.map { $0 + "; " } ?? "") + "its process ended \(times) before its time"
    }
    return said
  }

  // MARK: The process

  /// A new process for one that ended, told of the connections that `isWanted`. One that ends
  /// again at once is given up after some attempts, and refuses everything.
  mutating func restart(_ isWanted: (UInt32) -> Bool) {
    for _ in 0..<3 {
      do throws(SinkError) { try start() } catch { break }
      for slot in 0..<place.maxConnections where end == nil {
        if let connection = unsafe connections[slot], isWanted(connection.slot) {
          _ = tell(connection)
        }
      }
      if end == nil { return }
    }
    end = .absent
  }

  /// Starts the process. Errors: what it says against the shared object or its options.
  mutating func start() throws(SinkError) {
    end = nil
    if !loader.isThere { abilities = try loader.load(path, options, place, desk) }
    guard let (here, there) = ChildProcess.sockets() else {
      throw PluginProcess.refusal(path, "no socket: errno \(errno)")
    }
    socket = here
    process = loader.start(there)
    // With it open here the process's end would not show.
    Glibc.close(there)
    guard process > 0 else {
      Glibc.close(socket)
      process = 0
      throw PluginProcess.refusal(path, "the process that loaded it has ended")
    }
    // Making an instance may take long, as Python does; once.
    guard let hello = answer(within: 10_000) else {
      throw PluginProcess.refusal(path, "it " + (end?.words ?? "did not answer"))
    }
    let text = desk.text
    guard hello.status == 0 else {
      _ = loader.finish(process)
      Glibc.close(socket)
      process = 0
      throw SinkError(hello, text)
    }
    name = text
  }

  static func refusal(_ path: String, _ what: String) -> SinkError {
    SinkError(
      .failed, "could not start a process for \(path): \(what)",
      remedy: "it is this program started as `stage-host`: `ulimit -u` and `ulimit -n` bound it")
  }

  private mutating func call(_ message: PluginMessage) -> PluginMessage? {
    guard end == nil else { return nil }
    // One that is gone is found out by the answer.
    _ = message.send(to: socket)
    return answer(within: place.timeoutMilliseconds)
  }

  /// Waits; without an answer the process is ended.
  private mutating func answer(within milliseconds: Int) -> PluginMessage? {
    let ready = OwnTime.poll(socket, milliseconds: milliseconds)
    if ready > 0, let message = PluginMessage.receive(from: socket) { return message }
    let status = loader.finish(process)
    Glibc.close(socket)
    process = 0
    ends += 1
    end = ready == 0 ? .late(milliseconds: milliseconds) : PluginEnd(status: status)
    return nil
  }
}

extension SinkError {
  /// What a process says against a shared object or its options.
  init(_ hello: PluginMessage, _ text: String) {
    let lines = text.split(separator: "\n", maxSplits: 1).map(String.init)
    self.init(
      hello.status == 2 ? .usage : .failed, lines.first ?? "", remedy: lines.dropFirst().first)
  }
}
