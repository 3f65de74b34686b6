import Glibc
import NICControl
import Privilege

/// The process behind a ``NICKeeper``. It holds CAP_NET_ADMIN and nothing else, may write the
/// journal's folder only, and does one thing, once.
public enum NICKeeperServer {
  /// Waits for the word, or for the receiver's end; puts the interface back. Returns the exit code.
  ///
  /// - Parameters:
  ///   - holder: the receiver's number in the journal.
  ///   - socket: the receiver's other end.
  public static func run(_ ifname: String, holder: Int, socket: Int32) -> Int32 {
    // What ends the receiver politely is the receiver's to hear: this one outlives it.
    for number in [SIGINT, SIGTERM, SIGHUP, SIGPIPE] { _ = signal(number, SIG_IGN) }
    do {
      let access = try NICAccess()
      let transaction = NICTransaction(access, try access.link(named: ifname))
      transaction.adopt(holder: holder)
      try confine()
      guard NICKeeperMessage.ready.send(to: socket) else { return undo(transaction, socket) }
      _ = NICKeeperMessage.receive(from: socket, within: -1)
      return undo(transaction, socket)
    } catch {
      _ = NICKeeperMessage.failed("\(error)").send(to: socket)
      return IngestError.Kind.notRestored.rawValue
    }
  }

  private static func confine() throws(PrivilegeError) {
    var permissions = Permissions()
    permissions.capabilities = Permissions.networkAdministration
    permissions.calls = [.reads, .files, .devices]
    permissions.writable = [NICTransaction.readable[0]]
    // Who else has wishes is looked up by process.
    permissions.readable = NICTransaction.readable + ["/proc"]
    let drop = try PrivilegeDrop(permissions)
    try drop.dropThread()
    try drop.filterCalls()
  }

  private static func undo(_ transaction: NICTransaction, _ socket: Int32) -> Int32 {
    do throws(NICPlanError) {
      let kept = try transaction.release()
      _ = NICKeeperMessage.kept(kept).send(to: socket)
      return kept.isEmpty ? 0 : IngestError.Kind.notRestored.rawValue
    } catch {
      _ = NICKeeperMessage.failed(error.what).send(to: socket)
      return IngestError.Kind.notRestored.rawValue
    }
  }
}
