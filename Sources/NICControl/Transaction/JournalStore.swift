import FoundationEssentials
import Glibc

/// Journals on disk: a file for each interface, and a lock for each.
///
/// /run/ingest where the user may write there, else ingest below $XDG_RUNTIME_DIR. A file is named
/// after the device, which keeps its name in every network namespace; a virtual interface has none
/// and is named by its namespace and number.
@safe
public final class JournalStore {
  public let path: String
  private let lock: Int32

  /// Opens the store of an interface and waits for its lock: one at a time plans and changes.
  ///
  /// - Parameter directory: nil is the usual place.
  public init(_ link: Link, directory: String? = nil) throws(NICPlanError) {
    let directory = directory ?? JournalStore.directory()
    _ = unsafe mkdir(directory, 0o755)
    let name = JournalStore.name(of: link)
    path = JournalStore.path(of: link, directory)
    let descriptor = unsafe open("\(directory)/\(name).lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      throw NICPlanError(
        errno == EACCES || errno == EPERM ? .noPrivilege : .failed,
        "could not open \(directory)/\(name).lock: \(JournalStore.reason())",
        remedy: "changes of a NIC are noted in \(directory): make it, and be root")
    }
    while flock(descriptor, LOCK_EX) != 0 && errno == EINTR {}
    lock = descriptor
  }

  deinit { close(lock) }

  private static func path(of link: Link, _ directory: String) -> String {
    "\(directory)/\(name(of: link)).json"
  }

  static func directory() -> String {
    let isOurs = unsafe access("/run/ingest", W_OK) == 0
    if geteuid() == 0 || isOurs { return "/run/ingest" }
    guard let runtime = unsafe getenv("XDG_RUNTIME_DIR") else { return "/run/ingest" }
    return unsafe String(cString: runtime) + "/ingest"
  }

  static func name(of link: Link) -> String {
    if let parent = link.parent { return "nic-\(parent.bus)-\(parent.name)-\(link.name)" }
    var status = stat()
    _ = unsafe stat("/proc/thread-self/ns/net", &status)
    return "nic-\(status.st_ino)-\(link.index)"
  }

  /// The journal that is there; nil where there is none, or only one of an earlier boot or of
  /// another interface, which says nothing about this one.
  ///
  /// Without the lock: a journal is replaced as a whole, so one is read as a whole, too. Whoever
  /// only looks needs no right and waits for nobody.
  static func read(_ link: Link, directory: String?) throws(NICPlanError) -> NICJournal? {
    let path = path(of: link, directory ?? JournalStore.directory())
    guard let text = SystemFiles.text(path), !text.isEmpty else { return nil }
    let journal = try decode(text, path: path, ifname: link.name)
    return journal.boot == SystemFiles.boot ? journal : nil
  }

  /// The journal that a file's text is.
  static func decode(
    _ text: String, path: String, ifname: String
  ) throws(NICPlanError) -> NICJournal {
    guard let journal = try? JSONDecoder().decode(NICJournal.self, from: Data(text.utf8)),
      journal.isSound
    else {
      throw NICPlanError(
        .failed, "\(path) cannot be read: it notes what was changed at \(ifname)",
        remedy: "set \(ifname) up by hand as it should be, then remove the file")
    }
    guard journal.version == NICJournal.currentVersion else {
      throw NICPlanError(
        .failed, "\(path) is of another version of ingest (\(journal.version))",
        remedy: "`ingest nic restore --ifname \(ifname)` of that version undoes it")
    }
    return journal
  }

  /// Replaces the journal; returns when it is on disk. One that notes nothing any more is removed.
  public func save(_ journal: NICJournal) throws(NICPlanError) {
    if journal.isEmpty {
      _ = unsafe unlink(path)
      return
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    guard let data = try? encoder.encode(journal) else {
      throw NICPlanError(.failed, "the journal of \(journal.ifname) cannot be encoded")
    }
    let fresh = path + ".new"
    let descriptor = unsafe open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw failure("write \(fresh)") }
    let bytes = Array(data)
    let wrote = unsafe bytes.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
    let isWhole = wrote == bytes.count && fsync(descriptor) == 0
    close(descriptor)
    guard isWhole, unsafe rename(fresh, path) == 0 else { throw failure("write \(path)") }
  }

  private func failure(_ step: String) -> NICPlanError {
    NICPlanError(
      errno == EACCES ? .noPrivilege : .failed, "could not \(step): \(JournalStore.reason())",
      remedy: "nothing is changed at a NIC before that is noted")
  }

  private static func reason() -> String { unsafe String(cString: strerror(errno)) }
}

extension SystemFiles {
  /// The number of this boot; empty where the kernel does not tell.
  static var boot: String {
    String((text("/proc/sys/kernel/random/boot_id") ?? "").prefix { $0 != "\n" })
  }
}

extension NICJournal.Holder.Process {
  /// This process.
  static var own: NICJournal.Holder.Process {
    NICJournal.Holder.Process(identifier: getpid(), started: started(getpid()) ?? 0)
  }

  /// Whether that very process still runs: numbers come again, and a dead one that nobody has
  /// waited for does not count.
  var isAlive: Bool { NICJournal.Holder.Process.started(identifier) == started }

  /// Clock ticks after boot (/proc/PID/stat, field 22); nil for one that is dead.
  private static func started(_ process: Int32) -> UInt64? {
    guard let text = SystemFiles.text("/proc/\(process)/stat"),
      let name = text.lastIndex(of: ")")
    else { return nil }
    let fields = text[name...].split(separator: " ")
    guard fields.count > 20, fields[1] != "Z", fields[1] != "X" else { return nil }
    return UInt64(fields[20])
  }
}
