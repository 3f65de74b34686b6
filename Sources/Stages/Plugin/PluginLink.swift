import CIngestStage
import RingCore

/// A stage as a configuration chose it.
public enum PluginChoice: Sendable {
  /// In this process.
  case loaded(PluginLibrary, options: String)
  /// In a process of its own, which loads the shared object.
  case isolated(path: String, options: String)

  public var isIsolated: Bool {
    if case .isolated = self { return true }
    return false
  }
}

/// The way to a plugin, in this process or in one of its own, and the arrays that its calls use.
///
/// Memory: 66 B for each of ``PluginStage/capacity`` pieces.
@safe
struct PluginLink: ~Copyable {
  let name: String
  /// What faults carry for its name.
  let number: UInt64
  let readsPayload: Bool
  private let instance: UnsafeMutablePointer<PluginInstance>?
  private let process: UnsafeMutablePointer<PluginProcess>?
  private let pieces: UnsafeMutablePointer<ingest_stage_piece>
  private let answers: UnsafeMutablePointer<ingest_stage_answer>
  /// Which gathered piece each of `pieces` is.
  private let places: UnsafeMutablePointer<UInt16>

  /// Errors: what the plugin says against its options, and why it has no process.
  init(_ choice: PluginChoice, place: PluginPlace, area: AreaMemory) throws(SinkError) {
    let capacity = PluginStage.capacity
    switch choice {
    case .loaded(let library, let options):
      let made = try PluginInstance(library, options: options, place: place, area: area)
      unsafe instance = .allocate(capacity: 1)
      unsafe instance?.initialize(to: made)
      unsafe process = nil
      name = library.name
      number = StageCatalog.number(named: library.name) { library.sentence(for: $0) }
      readsPayload = library.readsPayload
      unsafe pieces = .allocate(capacity: capacity)
      unsafe pieces.initialize(repeating: ingest_stage_piece(), count: capacity)
      unsafe answers = .allocate(capacity: capacity)
      unsafe answers.initialize(repeating: ingest_stage_answer(), count: capacity)
    case .isolated(let path, let options):
      var made = try PluginProcess(path: path, options: options, place: place)
      try made.start()
      let name = made.name + " (isolated)"
      self.name = name
      number = StageCatalog.number(named: name) { PluginSentences.sentence(of: name, code: $0) }
      readsPayload = made.abilities & PluginMessage.reads != 0
      unsafe pieces = made.desk.pieces
      unsafe answers = made.desk.answers
      unsafe instance = nil
      unsafe process = .allocate(capacity: 1)
      unsafe process?.initialize(to: made)
    }
    unsafe places = .allocate(capacity: capacity)
    unsafe places.initialize(repeating: 0, count: capacity)
  }

  /// Once, when nothing more comes: what went wrong, as a sentence.
  func destroy() -> String? {
    let said = unsafe process.map { unsafe $0.pointee.stop() } ?? instance?.pointee.destroy()
    if let instance = unsafe instance {
      unsafe instance.deinitialize(count: 1)
      unsafe instance.deallocate()
      unsafe pieces.deallocate()
      unsafe answers.deallocate()
    }
    if let process = unsafe process {
      unsafe process.deinitialize(count: 1)
      unsafe process.deallocate()
    }
    unsafe places.deallocate()
    return said.map { "stage \(name): \($0)" }
  }

  /// A code other than 0 refuses the connection.
  func open(_ connection: Connection) -> UInt64 {
    unsafe process?.pointee.open(connection) ?? instance?.pointee.open(connection) ?? 0
  }

  func close(_ connection: Connection, _ end: StreamEnd, recordEnded: Bool) {
    unsafe process?.pointee.close(connection, end, recordEnded: recordEnded)
    unsafe instance?.pointee.close(
      connection, reason: end.pluginReason, recordEnded: recordEnded)
  }

  func flush() {
    unsafe instance?.pointee.flush()
    unsafe process?.pointee.flush()
  }

  /// How its process ended, as a fault's code, until ``restart(_:)``.
  var end: UInt64? { unsafe process?.pointee.end?.code }

  /// A new process, told of the connections in the slots that `isWanted`.
  func restart(_ isWanted: (UInt32) -> Bool) { unsafe process?.pointee.restart(isWanted) }

  /// A code came, whose sentence may be asked for later.
  func learn(_ code: UInt64) {
    guard let process = unsafe process, PluginSentences.wants(name, code) else { return }
    if let sentence = unsafe process.pointee.sentence(for: code) {
      PluginSentences.learn(name, code, sentence)
    }
  }

  // MARK: A batch

  /// Puts a piece into the batch, as the `index`th.
  @inline(__always)
  func put(_ gathered: PluginPiece, at index: Int, from place: Int, serial: UInt64) {
    let slot = Int(gathered.lease.connection)
    let piece = gathered.piece
    let flags =
      (piece.first ? UInt32(INGEST_STAGE_FIRST) : 0) | (piece.last ? UInt32(INGEST_STAGE_LAST) : 0)
    let skipped = Int(gathered.start) &+ Int(piece.lead)
    var user: UnsafeMutableRawPointer?
    var payload: UnsafeRawPointer?
    if let instance = unsafe instance {
      unsafe user = instance.pointee.user(slot: slot)
      // The chain made the piece from bytes of this lease, which lies inside the area.
      unsafe payload = instance.pointee.payload(at: gathered.lease.offset, skipping: skipped)
    } else {
      // Another process has both at other addresses.
      unsafe user = UnsafeMutableRawPointer(bitPattern: slot)
      let offset = Int(truncatingIfNeeded: gathered.lease.offset & AreaLayout.offsetMask)
      unsafe payload = UnsafeRawPointer(bitPattern: offset &+ skipped)
    }
    unsafe pieces[index] = ingest_stage_piece(
      size: UInt32(MemoryLayout<ingest_stage_piece>.size), flags: flags, connection: serial,
      user: user, payload: payload, length: UInt64(piece.payload), lead: piece.lead,
      trail: piece.trail)
    unsafe answers[index] = ingest_stage_answer(
      size: UInt32(MemoryLayout<ingest_stage_answer>.size), kind: UInt32(INGEST_STAGE_PASS),
      code: 0)
    unsafe places[index] = UInt16(truncatingIfNeeded: place)
  }

  /// Asks about the first `count` pieces.
  func ask(_ count: Int, now: UInt64) {
    unsafe process?.pointee.ask(count, now: now)
    unsafe instance?.pointee.ask(pieces, answers, count, now: now)
  }

  /// What was said of the `index`th piece, and which gathered piece that is.
  @inline(__always)
  func answer(_ index: Int) -> (answer: ingest_stage_answer, place: Int) {
    unsafe (answers[index], Int(places[index]))
  }
}
