import Glibc
import NICControl
import ZeroCopy

/// What the kernel allows and has.
enum KernelFindings {
  static func all() -> [Finding] {
    let features = KernelFeatures()
    let host = RegistrationHost.current()
    var found = [switchedOn(host), ring(features.release)]
    for row in features.table { found.append(finding(row, features.release)) }
    found.append(capability(host))
    found.append(lockedMemory(host))
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

  private static func switchedOn(_ host: RegistrationHost) -> Finding {
    let subject = "kernel.io_uring_disabled"
    let remedy = "sysctl -w kernel.io_uring_disabled=0"
    switch host.ioUringDisabled {
    case 0: return Finding(.ok, subject, "0: everyone may use io_uring")
    case 1:
      let privileged = geteuid() == 0
      return Finding(
        privileged ? .ok : .warning, subject,
        "1: only root and the group of kernel.io_uring_group may use io_uring",
        remedy: privileged ? nil : remedy)
    default:
      return Finding(.blocks, subject, "\(host.ioUringDisabled): nobody may", remedy: remedy)
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
  private static func capability(_ host: RegistrationHost) -> Finding {
    let subject = "CAP_NET_ADMIN"
    guard host.hasNetAdmin else {
      return Finding(
        .blocks, subject, "not held, and binding a queue needs it",
        remedy: "run as root, or with AmbientCapabilities=CAP_NET_ADMIN in the systemd unit")
    }
    guard host.isInitialUserNamespace else {
      return Finding(
        .blocks, subject, "held in a user namespace only; binding asks for the initial one",
        remedy: "start it outside the rootless container")
    }
    return Finding(.ok, subject, "held")
  }

  private static func lockedMemory(_ host: RegistrationHost) -> Finding {
    let subject = "locked memory"
    if host.hasLockRight {
      return Finding(.ok, subject, "not limited: CAP_IPC_LOCK is held")
    }
    guard let limit = host.lockLimit else { return Finding(.ok, subject, "not limited") }
    return Finding(
      .warning, subject, "\(limit >> 10) KiB may be locked; areas count, with their refill rings",
      remedy: "ulimit -l unlimited, or LimitMEMLOCK=infinity in the systemd unit")
  }
}
