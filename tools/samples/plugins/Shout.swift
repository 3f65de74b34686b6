// A stage for `ingest` in Swift, as a shared object: refuses connections in which a record starts
// with an exclamation mark, and tells of records without a single letter.
//
//     swiftc -O -parse-as-library -emit-library -I Sources/CIngestStage Shout.swift -o libshout.so
//     ingest --parse lines --stage './libshout.so?mark=!' …
//
// A stage that is compiled into a program of its own (../stage) has no call between the bytes and
// its code; this one can be added to an `ingest` that is there.
import CIngestStage

/// One for each receiving thread, made by `create` and freed by `destroy`.
private final class Shout {
  let mark: UInt8

  init(mark: UInt8) { self.mark = mark }

  /// What becomes of a piece that starts a record: the answer's kind and code.
  func judge(_ payload: UnsafeRawBufferPointer) -> (kind: Int32, code: UInt64) {
    guard let first = payload.first else { return (Int32(INGEST_STAGE_PASS), 0) }
    if first == mark { return (Int32(INGEST_STAGE_REFUSE), UInt64(mark)) }
    let hasLetter = payload.contains { byte in
      UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte | 0x20
    }
    return hasLetter ? (Int32(INGEST_STAGE_PASS), 0) : (Int32(INGEST_STAGE_FLAWED), 1)
  }

  func take(_ batch: UnsafePointer<ingest_stage_batch>) {
    for index in 0..<batch.pointee.count {
      guard let piece = ingest_stage_piece_at(batch, index)?.pointee,
        let answer = ingest_stage_answer_at(batch, index),
        piece.flags & UInt32(INGEST_STAGE_FIRST) != 0
      else { continue }
      let payload = UnsafeRawBufferPointer(start: piece.payload, count: Int(piece.length))
      let (kind, code) = judge(payload)
      answer.pointee.kind = UInt32(kind)
      answer.pointee.code = code
    }
  }
}

private func write(_ sentence: String, to text: UnsafeMutablePointer<CChar>?, _ size: Int) {
  guard let text, size > 0 else { return }
  let bytes = sentence.utf8.prefix(size - 1)
  for (index, byte) in bytes.enumerated() { text[index] = CChar(bitPattern: byte) }
  text[bytes.count] = 0
}

private let create:
  @convention(c) (
    UnsafePointer<ingest_stage_host>?, UnsafePointer<CChar>?,
    UnsafeMutablePointer<UnsafeMutableRawPointer?>?, UnsafeMutablePointer<CChar>?, Int
  ) -> Int32 = { _, options, instance, error, size in
    var mark = [CChar](repeating: 0, count: 8)
    let length = ingest_stage_option(options, "mark", &mark, mark.count)
    guard length == 1 || length < 0 else {
      write("mark= takes one character", to: error, size)
      return 1
    }
    let shout = Shout(mark: length == 1 ? UInt8(bitPattern: mark[0]) : UInt8(ascii: "!"))
    instance?.pointee = Unmanaged.passRetained(shout).toOpaque()
    return 0
  }

/// The table lives as long as the process; so does its name.
private nonisolated(unsafe) let table: UnsafePointer<ingest_stage_table> = {
  var table = ingest_stage_table()
  table.size = UInt32(MemoryLayout<ingest_stage_table>.size)
  table.version = UInt32(INGEST_STAGE_VERSION)
  table.flags = UInt32(INGEST_STAGE_READS_PAYLOAD)
  let name: StaticString = "shout"
  table.name = UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)
  table.create = create
  table.take = { instance, batch in
    guard let instance, let batch else { return }
    Unmanaged<Shout>.fromOpaque(instance)._withUnsafeGuaranteedRef { $0.take(batch) }
  }
  table.sentence = { code, text, size in
    write(code == 1 ? "a record without a letter" : "a record shouts", to: text, size)
  }
  table.destroy = { instance in
    if let instance { Unmanaged<Shout>.fromOpaque(instance).release() }
  }
  let place = UnsafeMutablePointer<ingest_stage_table>.allocate(capacity: 1)
  place.initialize(to: table)
  return UnsafePointer(place)
}()

@c(ingest_stage_entry)
public func entry(_ hostVersion: UInt32) -> UnsafePointer<ingest_stage_table>? { table }
