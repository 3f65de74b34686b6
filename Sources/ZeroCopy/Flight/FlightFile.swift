import CIngestKernel
import Glibc
public import RingCore

/// A flight recorder's file, read and checked: whatever its bytes are, reading ends in values or in
/// an error.
public struct FlightFile: Sendable {
  public let process: UInt32
  /// CLOCK_MONOTONIC and CLOCK_REALTIME when it began, in nanoseconds.
  public let began: UInt64
  public let beganOnWallClock: UInt64
  /// JSON: the machine and the configuration.
  public let text: String
  /// Of the receiving threads, in order.
  public let tracks: [FlightTrack]
  /// What the control thread noted.
  public let notes: [Note]

  public struct Note: Equatable, Sendable {
    public let kind: FlightNote?
    /// CLOCK_MONOTONIC, in nanoseconds.
    public let at: UInt64
    public let text: String
  }

  /// Why bytes are no recording.
  public struct Malformed: Error, Equatable, Sendable {
    public let what: String
  }

  public init(bytes: [UInt8]) throws(Malformed) {
    let reader = ByteReader(bytes: bytes)
    guard bytes.count >= FlightFormat.tableAt,
      Array(bytes[..<FlightFormat.magic.count]) == FlightFormat.magic
    else { throw Malformed(what: "it does not begin like a flight recorder's file") }
    let version: UInt32 = reader.word(8)
    guard version == FlightFormat.version else {
      throw Malformed(
        what: "it is of version \(version); this program reads \(FlightFormat.version)")
    }
    let header = Int(reader.word(12) as UInt32)
    let count = Int(reader.word(20) as UInt32)
    let textBytes = Int(reader.word(52) as UInt32)
    let textAt = FlightFormat.tableAt + 16 * min(count, FlightFormat.mostTracks)
    guard reader.word(16) as UInt32 == UInt32(FlightFormat.cellBytes), count >= 1,
      count <= FlightFormat.mostTracks, textAt + textBytes <= header, header <= bytes.count
    else { throw Malformed(what: "its header does not fit together") }
    guard reader.word(24) as UInt64 == UInt64(bytes.count) else {
      throw Malformed(
        what: "it has \(bytes.count) bytes and says \(reader.word(24) as UInt64): it was cut off")
    }
    began = reader.word(32)
    beganOnWallClock = reader.word(40)
    process = reader.word(48)
    text = String(decoding: bytes[textAt..<textAt + textBytes], as: UTF8.self)
    var end = header
    var tracks: [FlightTrack] = []
    var notes: [Note] = []
    for index in 0..<count {
      let at = FlightFormat.tableAt + 16 * index
      let (offset, cells): (UInt64, UInt64) = (reader.word(at), reader.word(at + 8))
      guard let track = FlightTrack(reader, index, from: end, offset: offset, cells: cells) else {
        throw Malformed(what: "track \(index) does not fit together")
      }
      end = Int(offset) + FlightFormat.trackHeader + Int(cells) * FlightFormat.cellBytes
      if track.isControl { notes += FlightFile.notes(track.events) } else { tracks.append(track) }
    }
    self.tracks = tracks
    self.notes = notes
  }

  /// Notes whose text is whole.
  private static func notes(_ events: [FlightEvent]) -> [Note] {
    var notes: [Note] = []
    for (index, event) in events.enumerated() where event.kind == .note {
      let length = Int(clamping: event.second)
      guard length <= 2048 else { continue }
      let cells = events[(index + 1)...].prefix((length + 23) / 24)
      guard cells.count == (length + 23) / 24, cells.allSatisfy({ $0.kind == .text }) else {
        continue
      }
      let bytes = cells.flatMap { cell in
        [cell.first, cell.second, cell.third].flatMap { word in
          (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64($0 * 8)) }
        }
      }
      notes.append(
        Note(
          kind: FlightNote(rawValue: event.index), at: event.first,
          text: String(decoding: bytes.prefix(length), as: UTF8.self)))
    }
    return notes
  }
}

/// What one thread recorded.
public struct FlightTrack: Sendable {
  public let thread: Int
  /// Nil where its engine was never made.
  public let shape: Shape?
  let isControl: Bool
  /// Oldest first.
  public let events: [FlightEvent]
  /// Older ones that were written over.
  public let lost: UInt64

  /// Nil where the words do not fit together.
  fileprivate init?(_ reader: ByteReader, _ thread: Int, from: Int, offset: UInt64, cells: UInt64) {
    let room = UInt64(reader.bytes.count)
    guard offset >= UInt64(from), offset & 7 == 0, offset < room,
      cells > 0, cells <= UInt64(FlightFormat.mostCells), cells & (cells - 1) == 0,
      offset + UInt64(FlightFormat.trackHeader) + cells * UInt64(FlightFormat.cellBytes) <= room
    else { return nil }
    let start = Int(offset)
    let engine: UInt32 = reader.word(start + 4)
    let written: UInt64 = reader.word(start + FlightFormat.writtenAt)
    let after: UInt64 = reader.word(start + FlightFormat.afterAt)
    guard reader.word(start) as UInt32 == FlightFormat.trackMagic, after == 0 || after >= written
    else { return nil }
    isControl = engine == FlightTrack.control
    let words = (0..<8).map { reader.word(start + 24 + 4 * $0) as UInt32 }
    shape = engine == 0 || isControl ? nil : FlightTrack.shape(engine: engine, words)
    if engine != 0 && !isControl && shape == nil { return nil }
    let latest = max(after, written)
    lost = min(written, latest > cells ? latest - cells : 0)
    self.thread = thread
    events = (lost..<written).map { number in
      reader.event(
        start + FlightFormat.trackHeader + Int(number & (cells - 1)) * FlightFormat.cellBytes)
    }
  }
}

/// Little-endian words at places that were checked.
private struct ByteReader {
  let bytes: [UInt8]

  func word<Word: FixedWidthInteger & BitwiseCopyable>(_ at: Int) -> Word {
    unsafe bytes.withUnsafeBytes { buffer in
      unsafe Word(littleEndian: buffer.loadUnaligned(fromByteOffset: at, as: Word.self))
    }
  }

  func event(_ at: Int) -> FlightEvent {
    FlightEvent(words: (word(at), word(at + 8), word(at + 16), word(at + 24)))
  }
}

extension FlightFile {
  /// Reads a file, which a process may still be recording into.
  ///
  /// Errors: the errno of reading it, or EBADMSG with what is wrong with it.
  public init(path: String) throws(RingError) {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw RingError("open \(path)", errno: errno) }
    defer { close(descriptor) }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
      status.st_size <= 1 << 36
    else { throw RingError("read \(path)", errno: EINVAL, remedy: "it is no file of events") }
    var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
    var done = 0
    while done < bytes.count {
      let count = unsafe bytes.withUnsafeMutableBytes { buffer in
        let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
        return unsafe pread(descriptor, rest.baseAddress, rest.count, off_t(done))
      }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw RingError("read \(path)", errno: count < 0 ? errno : EIO) }
      done += count
    }
    FlightFile.noteLaterCounts(descriptor, &bytes)
    do throws(Malformed) {
      try self.init(bytes: bytes)
    } catch {
      throw RingError("read \(path)", errno: EBADMSG, remedy: error.what)
    }
  }

  /// Events that were written over while the file was read are told apart by the later count.
  private static func noteLaterCounts(_ descriptor: Int32, _ bytes: inout [UInt8]) {
    guard bytes.count >= FlightFormat.tableAt else { return }
    let reader = ByteReader(bytes: bytes)
    let count = Int(reader.word(20) as UInt32)
    guard count <= FlightFormat.mostTracks, FlightFormat.tableAt + 16 * count <= bytes.count else {
      return
    }
    for index in 0..<count {
      let offset: UInt64 = reader.word(FlightFormat.tableAt + 16 * index)
      guard offset < UInt64(bytes.count), Int(offset) + FlightFormat.trackHeader <= bytes.count
      else { return }
      let at = Int(offset)
      var later: UInt64 = 0
      guard unsafe pread(descriptor, &later, 8, off_t(at + FlightFormat.writtenAt)) == 8,
        later != reader.word(at + FlightFormat.writtenAt)
      else { continue }
      for place in 0..<8 {
        bytes[at + FlightFormat.afterAt + place] = UInt8(
          truncatingIfNeeded: later >> UInt64(place * 8))
      }
    }
  }
}
