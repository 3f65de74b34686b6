import Glibc
public import RingCore
import ZeroCopy

// The flight recorder of a running receiver.
extension Receiver {
  /// Makes the recorder that the configuration asks for; nil where it asks for none.
  func makeRecording() throws(IngestError) -> FlightRecording? {
    guard configuration.recordEvents > 0 else { return nil }
    // While it may be done: who the process will be need not be able to.
    if configuration.record == nil { FlightFolder.prune() }
    do throws(RingError) {
      return try FlightRecording(
        threads: plan.threads, events: configuration.recordEvents, path: configuration.record,
        text: FlightText(configuration).encoded)
    } catch {
      throw IngestError(error)
    }
  }

  /// Notes what happened outside the receiving threads.
  public func note(_ note: FlightNote, _ text: String) { recording?.note(note, text) }

  /// Leaves what was recorded as a file, while the threads go on; returns its path. Nil where
  /// nothing is recorded. A later call writes the same file anew.
  ///
  /// The file is the configuration's `record`, or `ingest-PID.flight` in /run/ingest/flight, in
  /// $XDG_RUNTIME_DIR/ingest, or in $TMPDIR/ingest-UID; there the newest ones stay.
  public func writeRecording() throws(IngestError) -> String? {
    guard let recording else { return nil }
    if let path = recording.path { return path }
    let path = FlightFolder.path
    do throws(RingError) {
      try recording.write(to: path)
    } catch {
      throw IngestError(error)
    }
    return path
  }

  /// Has a crash of this process leave its recording, and say where. For a command, once.
  public func survivesCrashes() {
    guard let recording else { return }
    let path = recording.path ?? FlightFolder.path
    recording.survivesCrashes(at: path, message: Receiver.recordingText(path))
  }

  /// Where a recording lies, and what shows it, as a sentence.
  public static func recordingText(_ path: String) -> String {
    "the last events are in \(path): `ingest flight show \(path)`"
  }
}

/// Where recordings go that no path was given for.
enum FlightFolder {
  /// Files of ended processes that stay: at 2 MiB a thread, some 20 MiB.
  private static let kept = 8

  /// Made when it is first asked for, by who the process is then; nothing else lies there, so that
  /// a process that gave up its rights may keep that to it.
  static let directory: String = {
    // Whoever the process becomes may write there, and remove what is its own.
    _ = unsafe mkdir("/run/ingest", 0o755)
    if unsafe mkdir("/run/ingest/flight", 0o1777) == 0 {
      _ = unsafe chmod("/run/ingest/flight", 0o1777)
    }
    if unsafe access("/run/ingest/flight", W_OK) == 0 { return "/run/ingest/flight" }
    var candidates: [String] = []
    if let runtime = variable("XDG_RUNTIME_DIR") { candidates.append(runtime + "/ingest") }
    candidates.append("\(variable("TMPDIR") ?? "/tmp")/ingest-\(geteuid())")
    for candidate in candidates {
      _ = unsafe mkdir(candidate, 0o700)
      // Somebody else may have had the name first.
      var status = stat()
      let isOwn =
        unsafe lstat(candidate, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
        && status.st_uid == geteuid()
      if isOwn { return candidate }
    }
    return variable("TMPDIR") ?? "/tmp"
  }()

  static var path: String { "\(directory)/ingest-\(getpid()).flight" }

  private static func variable(_ name: String) -> String? {
    unsafe getenv(name).map { unsafe String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
  }

  /// Makes room for one more file: removes the oldest of processes that are gone.
  static func prune() {
    let folder = directory
    guard let stream = unsafe opendir(folder) else { return }
    defer { unsafe closedir(stream) }
    var files: [(path: String, time: Int)] = []
    while let entry = unsafe readdir(stream) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      guard name.hasPrefix("ingest-"), name.hasSuffix(".flight"),
        let process = Int32(name.dropFirst(7).dropLast(7)), kill(process, 0) != 0, errno == ESRCH
      else { continue }
      var status = stat()
      guard unsafe lstat("\(folder)/\(name)", &status) == 0, status.st_uid == geteuid() else {
        continue
      }
      files.append(("\(folder)/\(name)", status.st_mtim.tv_sec))
    }
    for file in files.sorted(by: { $0.time > $1.time }).dropFirst(kept - 1) {
      _ = unsafe unlink(file.path)
    }
  }
}
