import Glibc
import NICControl
import ZeroCopy

/// What the kernel allows and has.
enum KernelFindings {
  static func all(_ host: RegistrationHost) -> [Finding] {
    let features = KernelFeatures()
    let isRoot = geteuid() == 0 && host.isInitialUserNamespace
    var found = Preflight.rights(host, isRoot: isRoot)
    var rows = features.table.map { finding($0, features.release, host) }
    // Where io_uring is switched off, that is why there is no ring.
    if found.first?.verdict != .blocks { rows.insert(ring(features.release), at: 0) }
    found.insert(contentsOf: rows, at: 1)
    return found
  }

  /// A feature that is missing blocks only where zero-copy receive cannot do without it.
  static func finding(
    _ row: (feature: String, answer: KernelFeatures.Answer, since: String), _ release: String,
    _ host: RegistrationHost
  ) -> Finding {
    switch row.answer {
    case .yes: return Finding(.ok, row.feature, "present (since Linux \(row.since))")
    case .unknown:
      return Finding(
        .warning, row.feature, "this kernel cannot be asked (Linux 6.18 can); binding will tell")
    case .no:
      guard row.since == KernelFeatures.firstRelease else {
        return Finding(
          .warning, row.feature, "missing on Linux \(release)",
          remedy: "Linux \(row.since) or newer has it")
      }
      let wish = RegistrationWish(target: nil, areaBytes: 0, memory: .pages, refillEntries: 0)
      let known = RegistrationDiagnosis.obstacle(.kernel, to: wish, host: host, state: nil)
      return Finding(
        .blocks, row.feature, known?.what ?? "missing on Linux \(release)", remedy: known?.remedy)
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
      let refusal = IngestError(error)
      return Finding(.blocks, subject, refusal.what, remedy: refusal.remedy)
    }
  }
}
