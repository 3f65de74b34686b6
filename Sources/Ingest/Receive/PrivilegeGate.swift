import Glibc
import Privilege
import Synchronization

/// Where threads wait until the whole process has given up what it no longer needs.
final class PrivilegeGate: Sendable {
  let drop: PrivilegeDrop
  private let notes: Mutex<[String]>
  private let isOpen = Atomic(false)
  private let folders: [String]
  private let hasStages: Bool

  /// Before any thread: rights to files are looked at while all are there.
  init(_ configuration: ReceiveConfiguration, _ nic: NICSetup?) throws(IngestError) {
    do throws(PrivilegeError) {
      let needs = try PrivilegeNeeds(configuration, nic)
      drop = try PrivilegeDrop(needs.permissions)
      hasStages = !configuration.stages.isEmpty
      folders = needs.permissions.writable
      notes = Mutex(needs.remarks + drop.remarks)
    } catch {
      throw IngestError(error)
    }
  }

  /// Who the process becomes, as NUMBER:NUMBER; who it is where it stays that.
  var user: String { (drop.permissions.user ?? .current).description }

  var remarks: [String] { notes.withLock { $0 } }

  /// The calling thread's own privileges go, for good.
  func dropThread() throws(IngestError) {
    do throws(PrivilegeError) { try drop.dropThread() } catch { throw IngestError(error) }
  }

  /// - Parameter threads: how many have dropped their privileges with the calling one.
  func pass(threads: Int) throws(IngestError) {
    try dropThread()
    for folder in folders where unsafe access(folder, W_OK | X_OK) != 0 {
      throw IngestError(
        .noPrivilege, "user \(User.current) may not write files in \(folder)",
        remedy: "`chown \(User.current) \(folder)`, or name its owner with --user")
    }
    do throws(PrivilegeError) { try drop.filterCalls() } catch { throw IngestError(error) }
    let others = PrivilegeDrop.threadCount - threads
    // The kernel's own, which do what io_uring cannot do at once, count as well.
    guard others > 0, hasStages else { return }
    notes.withLock {
      $0.append(
        "\(others) threads that a stage's library started keep their capabilities and files; the "
          + "filter of system calls holds for them, too")
    }
  }

  /// Threads go on.
  func open() { isOpen.store(true, ordering: .releasing) }

  func wait() {
    while !isOpen.load(ordering: .acquiring) { usleep(200) }
  }
}

extension IngestError {
  init(_ error: PrivilegeError) {
    self.init(error.isUsage ? .usage : .noPrivilege, error.what, remedy: error.remedy)
  }
}
