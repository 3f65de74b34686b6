import Glibc
import IngestTestSupport
import RingCore
import Testing
import ZeroCopy

@Suite struct FlightFileTests {
  private static func shape() throws -> FlightTrack.Shape {
    let layout = try #require(AreaLayout(bufferSize: 4096, bufferCount: 16))
    var shape = FlightTrack.Shape(
      .nodev, layout: layout, completionEntries: 64, holdLimit: 8, maxConnections: 4)
    shape.refillEntries = 32
    return shape
  }

  private static func path() -> String {
    "\(unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp")/flight-\(getpid())-"
      + "\(UInt32.random(in: 0 ... .max))"
  }

  private static func bytes(of path: String) throws -> [UInt8] {
    let descriptor = unsafe open(path, O_RDONLY)
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let count = unsafe read(descriptor, &bytes, bytes.count)
    try #require(count > 0 && count < bytes.count)
    return Array(bytes.prefix(count))
  }

  /// Two threads of which one recorded, and a note.
  private static func record(into path: String?) throws -> FlightRecording {
    let recording = try FlightRecording(threads: 2, events: 16, path: path, text: "{\"a\":1}")
    recording.describe(thread: 0, try shape())
    var recorder = recording.recorder(thread: 0)
    for number in UInt32(0)..<20 { recorder.append(FlightEvent(.armed, index: number)) }
    recording.note(.stall, "nothing moves, and it takes two cells to say so")
    return recording
  }

  private static func check(_ file: FlightFile) throws {
    #expect(file.process == UInt32(getpid()))
    #expect(file.text == "{\"a\":1}")
    #expect(file.tracks.map(\.thread) == [0, 1])
    #expect(file.tracks[0].shape == (try shape()))
    #expect(file.tracks[0].events.map(\.index) == Array(4..<20))
    #expect(file.tracks[0].lost == 4)
    #expect(file.tracks[1].shape == nil)
    #expect(file.tracks[1].events.isEmpty)
    #expect(file.notes.map(\.text) == ["nothing moves, and it takes two cells to say so"])
    #expect(file.notes.first?.kind == .stall)
  }

  @Test func whatIsWrittenIsRead() throws {
    let path = Self.path()
    defer { unsafe unlink(path) }
    let recording = try Self.record(into: nil)
    try recording.write(to: path)
    try Self.check(FlightFile(path: path))
    // Again over the same file.
    try recording.write(to: path)
    try Self.check(FlightFile(path: path))
  }

  @Test func aFileIsReadWhileItIsRecordedInto() throws {
    let path = Self.path()
    defer { unsafe unlink(path) }
    let recording = try Self.record(into: path)
    try Self.check(FlightFile(path: path))
    recording.note(.signal, "USR1")
    #expect(try FlightFile(path: path).notes.count == 2)
  }

  @Test func whatIsNoRegularFileIsLeftAlone() throws {
    #expect(throws: RingError.self) { try Self.record(into: "/dev/null") }
    #expect(throws: RingError.self) { try Self.record(into: "/no/such/directory/file") }
    #expect(throws: RingError.self) { try FlightFile(path: "/dev/null") }
  }

  @Test func whatWasWrittenOverMeanwhileIsLeftOut() throws {
    let path = Self.path()
    defer { unsafe unlink(path) }
    try Self.record(into: nil).write(to: path)
    var bytes = try Self.bytes(of: path)
    // The header is one page; the count after the cells were copied says that 3 more came.
    bytes[4096 + 16] = 23
    let track = try FlightFile(bytes: bytes).tracks[0]
    #expect(track.events.map(\.index) == Array(7..<20))
    #expect(track.lost == 7)
    bytes[4096 + 16] = 200
    #expect(try FlightFile(bytes: bytes).tracks[0].events.isEmpty)
  }

  @Test func aCutFileIsRefused() throws {
    let path = Self.path()
    defer { unsafe unlink(path) }
    try Self.record(into: nil).write(to: path)
    let bytes = try Self.bytes(of: path)
    for count in [0, 7, 63, 64, 100, 4095, 4096, 5000, bytes.count - 1] {
      #expect(throws: FlightFile.Malformed.self) {
        try FlightFile(bytes: Array(bytes.prefix(count)))
      }
    }
  }

  /// Whatever happens to the words of a file, reading ends, and so does making sense of it.
  @Test func aDamagedFileIsReadOrRefused() throws {
    let path = Self.path()
    defer { unsafe unlink(path) }
    try Self.record(into: nil).write(to: path)
    let whole = try Self.bytes(of: path)
    var generator = SeededGenerator(seed: 1)
    var refused = 0
    for _ in 0..<600 {
      var bytes = whole
      for _ in 0..<Int.random(in: 1...3, using: &generator) {
        // Header and table, or the first track's header and cells.
        let start = Bool.random(using: &generator) ? 0 : 4096
        let at = start + Int.random(in: 0..<160, using: &generator)
        bytes[at] =
          [0, 1, 0x7f, 0x80, 0xff, UInt8.random(in: 0...255, using: &generator)]
          .randomElement(using: &generator) ?? 0
      }
      do throws(FlightFile.Malformed) {
        for track in try FlightFile(bytes: bytes).tracks { _ = FlightCounts(of: track) }
      } catch {
        refused += 1
      }
    }
    #expect(refused > 100 && refused < 600)
  }
}
