import CIngestKernel
import CIngestStage
import Glibc
import RingCore

/// The other side of a ``PluginProcess``: a loader, which loads the shared object, and processes
/// that it makes of itself, each with an instance, which do what they are asked for until ingest or
/// the shared object ends them.
public struct PluginServer {
  /// What the process was started with.
  public struct Start {
    public var library: String
    public var options: String
    /// Open descriptors: the loader's socket, the desk, the area to map for reading.
    public var control: Int32
    public var desk: Int32
    public var area: Int32
    public var areaBytes: Int
    public var place: PluginPlace
    /// The process that started this one.
    public var parent: Int32

    public init(
      library: String, options: String, control: Int32, desk: Int32, area: Int32, areaBytes: Int,
      place: PluginPlace, parent: Int32
    ) {
      self.library = library
      self.options = options
      self.control = control
      self.desk = desk
      self.area = area
      self.areaBytes = areaBytes
      self.place = place
      self.parent = parent
    }
  }

  /// What is done on the way: before the shared object is loaded, once it is, and in each process
  /// once its instance is made.
  public struct Hooks {
    public typealias Hook = () throws(SinkError) -> Void
    var loading: Hook
    var loaded: Hook
    var made: Hook

    public init(
      loading: @escaping Hook = { () throws(SinkError) in },
      loaded: @escaping Hook = { () throws(SinkError) in },
      made: @escaping Hook = { () throws(SinkError) in }
    ) {
      self.loading = loading
      self.loaded = loaded
      self.made = made
    }
  }

  /// Serves until the other side is gone. Returns the exit code.
  ///
  /// The kernel calls are `prctl`, `recvmsg`, `send`, `clone`, `kill` and `wait4`; of the processes
  /// that it makes `mmap`, `recv` and `send`.
  public static func run(_ start: Start, _ hooks: Hooks = Hooks()) -> Int32 {
    unsafe ik_thread_name("stage-loader")
    guard ik_end_with_parent(start.parent) == 0 else { return 1 }
    do throws(SinkError) {
      let desk = try PluginDesk(descriptor: start.desk)
      let library = try desk.tell(start.control) { () throws(SinkError) in
        try hooks.loading()
        let library = try PluginLibrary(start.library)
        try hooks.loaded()
        return library
      }
      // A change of ids has undone it.
      guard ik_end_with_parent(start.parent) == 0 else { return 1 }
      var hello = PluginMessage(.hello)
      hello.code = library.abilities
      guard hello.send(to: start.control) else { return 1 }
      return load(start, library, desk, hooks)
    } catch {
      return 1
    }
  }

  private static func load(
    _ start: Start, _ library: PluginLibrary, _ desk: borrowing PluginDesk, _ hooks: Hooks
  ) -> Int32 {
    var request = PluginMessage(.end)
    var socket: Int32 = -1
    let size = MemoryLayout<PluginMessage>.size
    let loader = getpid()
    while unsafe ik_receive_descriptor(start.control, &request, size, &socket) == size {
      switch PluginMessage.Kind(rawValue: request.kind) {
      case .start:
        let child = ik_fork()
        if child == 0 {
          close(start.control)
          exit(serve(start, library, desk, at: socket, for: loader, hooks))
        }
        close(socket)
        request.status = child < 0 ? -child : 0
        request.word = UInt64(max(child, 0))
      case .finish:
        let process = pid_t(truncatingIfNeeded: request.word)
        // Nothing, where it has ended.
        kill(process, SIGKILL)
        request.status = ChildProcess.wait(for: process)
      default: return 1
      }
      guard request.send(to: start.control) else { return 0 }
    }
    return 0
  }

  /// In a process of its own.
  private static func serve(
    _ start: Start, _ library: PluginLibrary, _ desk: borrowing PluginDesk, at socket: Int32,
    for loader: Int32, _ hooks: Hooks
  ) -> Int32 {
    unsafe ik_thread_name("stage")
    guard ik_end_with_parent(loader) == 0 else { return 1 }
    do throws(SinkError) {
      var server = try Server(start, library, desk, at: socket, hooks)
      return server.serve() ? 0 : 1
    } catch {
      return 1
    }
  }
}

extension PluginDesk {
  /// Does something; what is wrong is told over that socket.
  borrowing func tell<Result>(
    _ socket: Int32, _ body: () throws(SinkError) -> Result
  ) throws(SinkError) -> Result {
    do throws(SinkError) {
      return try body()
    } catch {
      refuse(error, socket)
      throw error
    }
  }

  borrowing func refuse(_ error: SinkError, _ socket: Int32) {
    text = error.what + (error.remedy.map { "\n\($0)" } ?? "")
    var hello = PluginMessage(.hello)
    hello.status = error.kind == .usage ? 2 : 1
    _ = hello.send(to: socket)
  }
}

@safe
private struct Server: ~Copyable {
  private let socket: Int32
  private let desk: PluginDesk
  private let area: UnsafeMutableRawPointer
  private var plugin: PluginInstance
  private let users: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  private let maxConnections: Int

  init(
    _ start: PluginServer.Start, _ library: PluginLibrary, _ told: borrowing PluginDesk,
    at socket: Int32, _ hooks: PluginServer.Hooks
  ) throws(SinkError) {
    let desk = try PluginDesk(descriptor: start.desk)
    let area = try unsafe told.tell(socket) { () throws(SinkError) in
      try unsafe Server.map(start.area, start.areaBytes)
    }
    plugin = try Server.instance(start, library, told, at: socket, hooks)
    desk.text = library.name
    unsafe self.area = area
    self.desk = desk
    self.socket = socket
    maxConnections = start.place.maxConnections
    unsafe users = .allocate(capacity: maxConnections)
    unsafe users.initialize(repeating: nil, count: maxConnections)
    _ = PluginMessage(.hello).send(to: socket)
  }

  /// What it opens it opens as who the process is by now; then the process may open nothing more.
  private static func instance(
    _ start: PluginServer.Start, _ library: PluginLibrary, _ told: borrowing PluginDesk,
    at socket: Int32, _ hooks: PluginServer.Hooks
  ) throws(SinkError) -> PluginInstance {
    do throws(SinkError) {
      let plugin = try PluginInstance(
        library, options: start.options, place: start.place, area: nil)
      try hooks.made()
      return plugin
    } catch {
      told.refuse(error, socket)
      throw error
    }
  }

  private static func map(
    _ descriptor: Int32, _ byteCount: Int
  ) throws(SinkError) -> UnsafeMutableRawPointer {
    guard let area = unsafe mmap(nil, byteCount, PROT_READ, MAP_SHARED, descriptor, 0),
      unsafe area != MAP_FAILED
    else {
      throw SinkError(
        .failed, "could not map the area of \(byteCount) bytes: errno \(errno)",
        remedy: "`ulimit -v` bounds what a process may map")
    }
    return unsafe area
  }

  /// Whether it ended as asked.
  mutating func serve() -> Bool {
    while let request = PluginMessage.receive(from: socket) {
      var answer = request
      switch PluginMessage.Kind(rawValue: request.kind) {
      case .open: answer.code = plugin.open(connection(request))
      case .close:
        plugin.close(
          connection(request), reason: request.count, recordEnded: request.isRecordEnd)
      case .take: take(Int(request.count), now: request.word)
      case .flush: plugin.flush()
      case .sentence: desk.text = plugin.ownSentence(for: request.code)
      case .end:
        let said = plugin.destroy()
        answer.status = said == nil ? 0 : 1
        desk.text = said ?? ""
        return answer.send(to: socket)
      case .hello, .start, .finish, nil: return false
      }
      guard answer.send(to: socket) else { return false }
    }
    return false
  }

  private func connection(_ request: PluginMessage) -> Connection {
    Connection(slot: request.slot, serial: request.word, peer: Endpoint(raw: request.peer))
  }

  /// The pieces name places in the area, and slots instead of what `open` gave.
  private func take(_ count: Int, now: UInt64) {
    for index in 0..<min(count, PluginStage.capacity) {
      let piece = unsafe desk.pieces + index
      let slot = unsafe Int(bitPattern: piece.pointee.user)
      unsafe piece.pointee.user = plugin.user(slot: min(slot, maxConnections - 1))
      if plugin.readsPayload {
        let offset = unsafe Int(bitPattern: piece.pointee.payload)
        unsafe piece.pointee.payload = UnsafeRawPointer(area + offset)
      }
    }
    unsafe plugin.ask(desk.pieces, desk.answers, min(count, PluginStage.capacity), now: now)
  }
}
