import CIngestKernel
import Glibc
public import RingCore
import Synchronization

/// The flight recorder of a run: a ring of events for each receiving thread and a small one for
/// what the control thread notes, in one piece of memory that is a file as it stands.
///
/// With a path the memory is that file's, so the kernel keeps what was recorded whatever becomes of
/// the process; a file system in memory (tmpfs) keeps the threads from waiting for a disk. Without
/// one it is nobody's file until ``write(to:)``.
///
/// It holds no payload and no peer's address: sizes, slots, offsets, results, times.
@safe
public final class FlightRecording: @unchecked Sendable {
  // Sendable: the addresses never change; a track is written by its thread alone.
  /// The file that is recorded into; nil for memory.
  public let path: String?
  private let base: UnsafeMutableRawPointer
  private let byteCount: Int
  private let descriptor: Int32
  private let tracks: [(offset: Int, cells: Int)]
  private let control: Mutex<FlightRecorder>

  /// Events of the control thread's ring.
  private static let controlEvents = 4096

  /// Room for `events` (a power of two) of each thread. `text` is JSON that says what was run.
  ///
  /// Errors: memory or disk that lacks, a path that cannot be written or names no regular file.
  ///
  /// - Cost: 32 bytes an event, all of them at once.
  public init(threads: Int, events: Int, path: String?, text: String) throws(RingError) {
    invariant(
      events > 0 && events & (events - 1) == 0 && events <= FlightFormat.mostCells,
      "a flight recorder's size is a power of two")
    let text = Array(text.utf8)
    let header = FlightFormat.headerBytes(tracks: threads + 1, text: text.count)
    var at = header
    var tracks: [(offset: Int, cells: Int)] = []
    for index in 0...threads {
      let cells = index < threads ? events : FlightRecording.controlEvents
      tracks.append((at, cells))
      at += FlightFormat.trackHeader + cells * FlightFormat.cellBytes
    }
    var mapped: UnsafeMutableRawPointer?
    let descriptor = unsafe FlightRecording.map(path, UInt64(at), &mapped)
    guard descriptor >= 0, let base = unsafe mapped else {
      throw RingError(
        "record into \(path ?? "memory")", errno: -descriptor,
        remedy: FlightRecording.remedy(-descriptor, path, at))
    }
    unsafe self.base = base
    self.descriptor = descriptor
    self.path = path
    self.tracks = tracks
    byteCount = at
    control = Mutex(unsafe FlightRecording.recorder(base, tracks[threads]))
    writeHeader(header, text)
  }

  deinit {
    unsafe ik_flight_unmap(base, UInt64(byteCount))
    close(descriptor)
  }

  private static func map(
    _ path: String?, _ bytes: UInt64, _ out: inout UnsafeMutableRawPointer?
  ) -> Int32 {
    guard let path else { return unsafe ik_flight_map(nil, bytes, &out) }
    return unsafe ik_flight_map(path, bytes, &out)
  }

  private static func remedy(_ errno: Int32, _ path: String?, _ bytes: Int) -> String {
    guard let path else { return "\(bytes) bytes are needed: --record-events asks for fewer" }
    switch errno {
    case EEXIST: return "\(path) is no regular file: name another one"
    case ENOSPC, EDQUOT:
      return "\(bytes) bytes are needed there (`df -h`): --record-events asks for fewer"
    default: return "its directory must be there, and writable"
    }
  }

  private func put<Word: FixedWidthInteger>(_ word: Word, at offset: Int) {
    unsafe base.storeBytes(of: word.littleEndian, toByteOffset: offset, as: Word.self)
  }

  private func writeHeader(_ header: Int, _ text: [UInt8]) {
    for (index, byte) in FlightFormat.magic.enumerated() { put(byte, at: index) }
    put(FlightFormat.version, at: 8)
    put(UInt32(header), at: 12)
    put(UInt32(FlightFormat.cellBytes), at: 16)
    put(UInt32(tracks.count), at: 20)
    put(UInt64(byteCount), at: 24)
    put(ik_clock_ns(), at: 32)
    var now = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &now)
    put(UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec), at: 40)
    put(UInt32(getpid()), at: 48)
    put(UInt32(text.count), at: 52)
    for (index, track) in tracks.enumerated() {
      put(UInt64(track.offset), at: FlightFormat.tableAt + 16 * index)
      put(UInt64(track.cells), at: FlightFormat.tableAt + 16 * index + 8)
      put(FlightFormat.trackMagic, at: track.offset)
      put(
        index == tracks.count - 1 ? FlightTrack.control : 0, at: track.offset + 4)
    }
    let at = FlightFormat.tableAt + 16 * tracks.count
    for (index, byte) in text.enumerated() { put(byte, at: at + index) }
  }

  /// A thread's writing end; once per thread. It is good for as long as this object lives.
  public func recorder(thread: Int) -> FlightRecorder {
    unsafe FlightRecording.recorder(base, tracks[thread])
  }

  private static func recorder(
    _ base: UnsafeMutableRawPointer, _ track: (offset: Int, cells: Int)
  ) -> FlightRecorder {
    let start = unsafe base + track.offset
    return unsafe FlightRecorder(
      unsafeCells: (start + FlightFormat.trackHeader).assumingMemoryBound(to: FlightEvent.self),
      capacity: track.cells,
      published: (start + FlightFormat.writtenAt).assumingMemoryBound(to: UInt64.self))
  }

  /// Says what a thread's engine was made of; on that thread, before it runs.
  public func describe(thread: Int, _ shape: FlightTrack.Shape) {
    let offset = tracks[thread].offset
    for (index, word) in FlightTrack.words(of: shape).enumerated() {
      put(word, at: offset + 24 + 4 * index)
    }
    put(shape.engine.rawValue, at: offset + 4)
  }

  /// Notes something from outside the receiving threads.
  public func note(_ note: FlightNote, _ text: String) {
    control.withLock { $0.append(note, now: ik_clock_ns(), text: text) }
  }

  /// Writes what there is to a file, while the threads go on.
  public func write(to path: String) throws(RingError) {
    let error = unsafe ik_flight_write(base, UInt64(byteCount), path)
    guard error == 0 else {
      throw RingError(
        "write the flight recorder to \(path)", errno: -error,
        remedy: FlightRecording.remedy(-error, path, byteCount))
    }
  }

  /// What was recorded so far, read as a file would be; for when its threads have ended.
  package func read() throws(FlightFile.Malformed) -> FlightFile {
    try FlightFile(
      bytes: unsafe Array(UnsafeRawBufferPointer(start: base, count: byteCount)))
  }

  /// Has a crash of the process leave the recording at `path` (or in its own file) and say
  /// `message`. The recording must live as long as the process.
  public func survivesCrashes(at path: String, message: String) {
    unsafe ik_flight_on_crash(base, UInt64(byteCount), path, self.path == nil ? 0 : 1, message)
  }
}
