import Glibc
import ZeroCopy

/// What the kernel allows and has.
enum KernelFindings {
  static func all() -> [Finding] {
    let features = KernelFeatures()
    var found = [switchedOn(), ring(features.release)]
    for row in features.table { found.append(finding(row, features.release)) }
    found.append(capability())
    found.append(lockedMemory())
    return found
  }

  /// A feature that is missing blocks only where zero-copy receive cannot do without it.
  static func finding(
    _ row: (feature: String, answer: KernelFeatures.Answer, since: String), _ release: String
  ) -> Finding {
    switch row.answer {
    case .yes: return Finding(.ok, row.feature, "present (since Linux \(row.since))")
    case .unknown:
      return Finding(
        .warning, row.feature, "this kernel cannot be asked (Linux 6.18 can); binding will tell")
    case .no:
      let needed = row.since == KernelFeatures.firstRelease
      return Finding(
        needed ? .blocks : .warning, row.feature, "missing on Linux \(release)",
        remedy: needed
          ? "boot Linux \(row.since) or newer with CONFIG_IO_URING_ZCRX; "
            + "--engine copy works on this one"
          : "Linux \(row.since) or newer has it")
    }
  }

  private static func switchedOn() -> Finding {
    let subject = "kernel.io_uring_disabled"
    switch text(of: "/proc/sys/kernel/io_uring_disabled") {
    case nil: return Finding(.ok, subject, "this kernel has no such switch")
    case "0": return Finding(.ok, subject, "0: everyone may use io_uring")
    case "1":
      let verdict: Finding.Verdict = geteuid() == 0 ? .ok : .warning
      return Finding(
        verdict, subject, "1: only the group of kernel.io_uring_group and root may use io_uring",
        remedy: verdict == .ok ? nil : "sysctl -w kernel.io_uring_disabled=0")
    case .some(let value):
      return Finding(
        .blocks, subject, "\(value): nobody may use io_uring",
        remedy: "sysctl -w kernel.io_uring_disabled=0")
    }
  }

  private static func ring(_ release: String) -> Finding {
    let subject = "io_uring set-up"
    do throws(RingError) {
      let ring = try Ring(entries: 2, completionEntries: 4)
      guard ring.features.deferredTaskRun else {
        return Finding(
          .blocks, subject, "Linux \(release) lacks DEFER_TASKRUN, which zero-copy receive needs",
          remedy: "boot Linux 6.15 or newer; --engine copy works on this one")
      }
      return Finding(.ok, subject, "SINGLE_ISSUER, DEFER_TASKRUN and 32-byte completions")
    } catch {
      return Finding(.blocks, subject, "refused: \(error)", remedy: error.remedy)
    }
  }

  /// Binding asks for CAP_NET_ADMIN in the initial user namespace (io_uring/zcrx.c).
  private static func capability() -> Finding {
    let subject = "CAP_NET_ADMIN"
    guard Privileges.hasEffective(Privileges.netAdmin) else {
      return Finding(
        .blocks, subject, "not held, and binding a queue needs it",
        remedy: "run as root, or with AmbientCapabilities=CAP_NET_ADMIN in the systemd unit")
    }
    guard Privileges.inInitialUserNamespace else {
      return Finding(
        .blocks, subject, "held in a user namespace only; binding asks for the initial one",
        remedy: "start it outside the rootless container")
    }
    return Finding(.ok, subject, "held")
  }

  private static func lockedMemory() -> Finding {
    let subject = "locked memory"
    if Privileges.hasEffective(Privileges.ipcLock) {
      return Finding(.ok, subject, "not limited: CAP_IPC_LOCK is held")
    }
    let limit = Privileges.lockedMemoryLimit
    guard limit != .max else { return Finding(.ok, subject, "not limited") }
    return Finding(
      .warning, subject, "\(limit >> 10) KiB may be locked; areas count, with their refill rings",
      remedy: "ulimit -l unlimited, or LimitMEMLOCK=infinity in the systemd unit")
  }

  /// A small file without its last newline.
  private static func text(of path: String) -> String? {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 64)
    let count = unsafe read(descriptor, &bytes, bytes.count)
    guard count > 0 else { return nil }
    return String(decoding: bytes.prefix(count).filter { $0 > 32 }, as: UTF8.self)
  }
}
