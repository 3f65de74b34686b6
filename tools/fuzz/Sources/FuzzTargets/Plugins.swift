import CIngestStage
import Glibc
import RingCore

@testable import Stages

extension Target {
  static let plugin = Target(
    "plugin", "function tables and answers of shared objects, texts and ends of their processes",
    longest: 256
  ) { bytes in
    var input = Input(bytes)
    switch input.byte() & 3 {
    case 0: table(&input)
    case 1: process(&input)
    default: answers(&input)
    }
  }

  /// A table of any content; the functions behind it are never called.
  private static func table(_ input: inout Input) {
    var made = unsafe Answers.table
    let flags = input.byte()
    if flags & 1 != 0 { unsafe made.version = input.word() }
    if flags & 2 != 0 { unsafe made.size = input.word() }
    if flags & 4 != 0 { unsafe made.create = nil }
    if flags & 8 != 0 { unsafe made.take = nil }
    if flags & 16 != 0 { unsafe made.destroy = nil }
    unsafe made.flags = input.word()
    let name = Array(input.rest.prefix { $0 != 0 }) + [0]
    unsafe name.withUnsafeBufferPointer { buffer in
      let text = unsafe UnsafeRawPointer(buffer.baseAddress)
      if flags & 32 == 0 { unsafe made.name = text?.assumingMemoryBound(to: CChar.self) }
      do throws(SinkError) {
        let found = try unsafe PluginLibrary.check(&made, "/a.so")
        require(!found.isEmpty && found.utf8.count < 64 * 3, "a name of \(found.utf8.count) bytes")
        require(flags & 28 == 0, "a table without what must be there")
      } catch {
        require(error.description.contains("/a.so") && error.remedy != nil, "\(error)")
      }
    }
  }

  /// What a process of a stage says beside its answers, and how it ended.
  private static func process(_ input: inout Input) {
    _ = PluginEnd(status: Int32(bitPattern: input.word())).words
    let code = input.long()
    _ = PluginEnd.sentence(for: code)
    _ = PluginSentences.sentence(of: "none", code: code | 0xffff_ff00_0000_0000)
    var hello = PluginMessage(.hello)
    hello.status = Int32(bitPattern: input.word())
    let error = SinkError(hello, String(decoding: input.rest, as: UTF8.self))
    _ = error.description
  }

  /// Lines through a stage that answers as the input says: every lease comes back once.
  private static func answers(_ input: inout Input) {
    let count = input.below(33)
    unsafe Answers.next = (0..<count).map { _ in
      ingest_stage_answer(
        size: UInt32(input.byte()), kind: input.byte() < 200 ? input.word() & 3 : input.word(),
        code: UInt64(input.byte()))
    }
    let trace = Trace()
    let area = GuardedArea.shared
    var batch = Batch(area: area.memory, submissions: nil, holdLimit: 1024)
    let stage: PluginStage
    do throws(SinkError) {
      let loaded = PluginChoice.loaded(try Answers.library.get(), options: "")
      stage = try PluginStage(
        [loaded, loaded], place: PluginPlace(thread: 0, threads: 1, maxConnections: 2),
        area: area.memory, next: PluginNext(TraceSink(trace: trace)))
    } catch {
      finding("a plugin that does not start: \(error)")
    }
    var chain = RecordChain(
      framer: LinesFramer(max: 20), checksum: NoChecksum(), sink: stage, maxConnections: 2)
    send(&input, through: &chain, &batch, trace)
    chain.stop()
  }

  private static func send(
    _ input: inout Input,
    through chain: inout RecordChain<LinesFramer, Checked<NoChecksum, PluginStage>>,
    _ batch: inout Batch, _ trace: Trace
  ) {
    let connections = (0..<2).map { Connection(slot: $0, serial: UInt64($0) + 1, peer: Endpoint()) }
    var refused = [false, false]
    var returned = 0
    var given = 0
    for connection in connections { chain.opened(connection, in: &batch) }
    while !input.rest.isEmpty {
      let slot = Int(input.byte() & 1)
      let bytes = input.rest.prefix(1 + input.below(30))
      _ = input.bytes(bytes.count)
      guard !refused[slot], !bytes.isEmpty else { continue }
      let lease = GuardedArea.shared.lease(bytes, connection: UInt32(slot))
      given += 1
      if chain.take(lease, in: &batch).take() != nil { returned += 1 }
      if batch.refused { refused[slot] = true }
      batch.refused = false
      chain.endBatch(in: &batch)
      batch.takeReturns { _ in returned += 1 }
      while let slot = batch.takeRefusal() { refused[Int(slot)] = true }
      batch.drainFaults { _ in }
    }
    for (connection, refused) in zip(connections, refused) {
      chain.closed(connection, refused ? .refused : .finished, in: &batch)
    }
    chain.endBatch(in: &batch)
    batch.takeReturns { _ in returned += 1 }
    require(returned == given, "\(returned) of \(given) leases came back")
  }
}

/// A stage whose answers an input decides. It looks at the payload that it is shown.
private enum Answers {
  nonisolated(unsafe) static var next: [ingest_stage_answer] = []
  nonisolated(unsafe) static var sum: UInt64 = 0

  nonisolated(unsafe) static let table: ingest_stage_table = {
    var table = unsafe ingest_stage_table()
    unsafe table.size = UInt32(MemoryLayout<ingest_stage_table>.size)
    unsafe table.version = UInt32(INGEST_STAGE_VERSION)
    unsafe table.flags = UInt32(INGEST_STAGE_READS_PAYLOAD)
    unsafe table.name = UnsafePointer(strdup("answers"))
    unsafe table.create = { _, _, _, _, _ in 0 }
    unsafe table.destroy = { _ in }
    unsafe table.take = { _, batch in
      guard let batch = unsafe batch?.pointee else { return }
      unsafe Answers.answer(batch)
    }
    return unsafe table
  }()

  /// As its own type says, for the memory that the process keeps.
  static let library: Result<PluginLibrary, SinkError> = {
    let place = UnsafeMutablePointer<ingest_stage_table>.allocate(capacity: 1)
    unsafe place.initialize(to: table)
    do throws(SinkError) {
      return .success(try unsafe PluginLibrary(unsafeTable: place, path: "/answers.so"))
    } catch {
      return .failure(error)
    }
  }()

  @unsafe
  private static func answer(_ batch: ingest_stage_batch) {
    for index in 0..<Int(unsafe batch.count) {
      let piece = unsafe batch.pieces[index]
      if let payload = unsafe piece.payload, unsafe piece.length > 0 {
        let bytes = unsafe UnsafeRawBufferPointer(start: payload, count: Int(piece.length))
        for index in 0..<bytes.count { unsafe sum &+= UInt64(bytes[index]) }
      }
      if unsafe !next.isEmpty {
        let answer = unsafe next.removeFirst()
        unsafe batch.answers[index] = answer
      }
    }
  }
}
