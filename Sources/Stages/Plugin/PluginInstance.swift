import CIngestKernel
import CIngestStage
import RingCore

/// What an instance of a plugin is made for: one thread and its area.
public struct PluginPlace: Sendable {
  public var thread: Int
  public var threads: Int
  public var maxConnections: Int
  /// For stages in processes of their own: the area to map, how long an answer may take, and the
  /// program to start, which has the command `stage-host`.
  public var areaDescriptor: Int32 = -1
  public var areaBytes = 0
  public var timeoutMilliseconds = 1000
  public var executable = "/proc/self/exe"
  /// What those processes are to drop, as the program understands it; nil keeps all.
  public var drop: String?

  public init(thread: Int, threads: Int, maxConnections: Int) {
    self.thread = thread
    self.threads = threads
    self.maxConnections = maxConnections
  }
}

/// A plugin loaded into this process, on one thread: its instance.
///
/// Memory: 8 B for each connection.
@safe
struct PluginInstance: ~Copyable {
  let library: PluginLibrary
  private let host: UnsafeMutablePointer<ingest_stage_host>
  private let instance: UnsafeMutableRawPointer?
  /// What `open` gave for each slot.
  private let users: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  /// Where payload is looked at; nil where it is not, or where somebody else says.
  private let area: AreaMemory?
  var readsPayload: Bool { library.readsPayload }

  /// Has the plugin make an instance. Errors: what the plugin says.
  init(
    _ library: PluginLibrary, options: String, place: PluginPlace, area: AreaMemory?
  ) throws(SinkError) {
    let host = UnsafeMutablePointer<ingest_stage_host>.allocate(capacity: 1)
    unsafe host.initialize(
      to: ingest_stage_host(
        size: UInt32(MemoryLayout<ingest_stage_host>.size), version: UInt32(INGEST_STAGE_VERSION),
        thread: UInt32(place.thread), threads: UInt32(place.threads),
        max_connections: UInt32(place.maxConnections),
        max_pieces: UInt32(PluginStage.capacity)))
    var made: UnsafeMutableRawPointer?
    var status: Int32 = 0
    let said = unsafe PluginText.read { text, size in
      status = unsafe library.table.pointee.create?(host, options, &made, text, size) ?? 0
    }
    guard status == 0 else {
      unsafe host.deallocate()
      throw SinkError(
        .usage,
        "--stage \(library.path): \(said ?? "\(library.name) refused to start (\(status))")",
        remedy: options.isEmpty
          ? "its options follow a question mark: \(library.path)?key=value"
          : "its options are: \(options)")
    }
    self.library = library
    unsafe self.host = host
    unsafe instance = made
    unsafe users = .allocate(capacity: place.maxConnections)
    unsafe users.initialize(repeating: nil, count: place.maxConnections)
    self.area = library.readsPayload ? area : nil
  }

  /// Once, when nothing more comes: what went wrong, as a sentence, and the end of the instance.
  func destroy() -> String? {
    var isFailure: Int32 = 0
    let said = unsafe library.table.pointee.failure.flatMap { failure in
      unsafe PluginText.read { text, size in isFailure = unsafe failure(instance, text, size) }
    }
    unsafe library.table.pointee.destroy?(instance)
    unsafe host.deallocate()
    unsafe users.deallocate()
    guard isFailure != 0 else { return nil }
    return said ?? "it failed and does not say why"
  }

  /// A code other than 0 refuses the connection.
  func open(_ connection: Connection) -> UInt64 {
    let slot = Int(connection.slot)
    unsafe users[slot] = nil
    guard let open = unsafe library.table.pointee.open else { return 0 }
    var told = ingest_stage_connection(connection)
    return unsafe open(instance, &told, users + slot)
  }

  func close(_ connection: Connection, reason: UInt32, recordEnded: Bool) {
    let slot = Int(connection.slot)
    if let close = unsafe library.table.pointee.close {
      var told = unsafe ingest_stage_end(
        size: UInt32(MemoryLayout<ingest_stage_end>.size), reason: reason,
        connection: connection.serial, user: users[slot], record_ended: recordEnded ? 1 : 0)
      unsafe close(instance, &told)
    }
    unsafe users[slot] = nil
  }

  func flush() { unsafe library.table.pointee.flush?(instance) }

  func ownSentence(for code: UInt64) -> String { library.sentence(for: code) }

  @unsafe @inline(__always)
  func user(slot: Int) -> UnsafeMutableRawPointer? { unsafe users[slot] }

  @unsafe @inline(__always)
  func payload(at offset: UInt64, skipping skipped: Int) -> UnsafeRawPointer? {
    unsafe area.map { unsafe UnsafeRawPointer($0.address(of: offset)) + skipped }
  }

  /// Asks about the first `count` pieces.
  @unsafe
  func ask(
    _ pieces: UnsafeMutablePointer<ingest_stage_piece>,
    _ answers: UnsafeMutablePointer<ingest_stage_answer>, _ count: Int, now: UInt64
  ) {
    var batch = unsafe ingest_stage_batch(
      size: UInt32(MemoryLayout<ingest_stage_batch>.size), count: UInt32(count),
      piece_size: UInt32(MemoryLayout<ingest_stage_piece>.stride),
      answer_size: UInt32(MemoryLayout<ingest_stage_answer>.stride),
      pieces: UnsafePointer(pieces), answers: answers, now: now)
    unsafe library.table.pointee.take?(instance, &batch)
  }
}

extension PluginLibrary {
  /// What `hello` says of it.
  var abilities: UInt64 {
    let table = unsafe table.pointee
    return unsafe (readsPayload ? PluginMessage.reads : 0)
      | (table.open == nil ? 0 : PluginMessage.opens)
      | (table.close == nil ? 0 : PluginMessage.closes)
      | (table.flush == nil ? 0 : PluginMessage.flushes)
  }
}

extension ingest_stage_connection {
  init(_ connection: Connection) {
    self.init()
    size = UInt32(MemoryLayout<ingest_stage_connection>.size)
    family = UInt32(connection.peer.raw.family)
    self.connection = connection.serial
    address = connection.peer.raw.address
    port = UInt32(connection.peer.raw.port)
  }
}

extension StreamEnd {
  /// The number that ingest_stage.h has for it.
  var pluginReason: UInt32 {
    switch self {
    case .finished: UInt32(INGEST_STAGE_FINISHED)
    case .failed, .misplaced, .unsplit, .starved: UInt32(INGEST_STAGE_FAILED)
    case .refused, .limited: UInt32(INGEST_STAGE_REFUSED)
    case .stopped: UInt32(INGEST_STAGE_STOPPED)
    }
  }
}
