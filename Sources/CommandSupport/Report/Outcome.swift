import Glibc
package import Ingest

/// What a run came to, where it is not success.
package typealias Outcome = (kind: IngestError.Kind, text: String)

/// Why a finished receiver's exit code is not 0; nil where all was well.
package func receiveOutcome(
  _ report: ReceiveReport, _ log: ConnectionLog, forced: Bool
) -> Outcome? {
  if let failure = report.failure {
    let dropped = report.configuration.privileges == .drop
    return (failure.kind, withPrivilegeHint(failure.description, dropped: dropped))
  }
  if forced {
    return (.failed, "forced to end: bytes that were received and not yet in the sink are lost")
  }
  if let verdict = log.verdict(report.counters) { return verdict }
  let limit = report.configuration.maxCopied
  if !limit.allows(report.counters.truth) {
    return (.copiedShare, tooMuchCopied(report.counters.truth, limit, report.copyHints))
  }
  if report.notRestored.isEmpty { return nil }
  return (.notRestored, "the NIC is not as it was: " + report.notRestored.joined(separator: "; "))
}

/// Why a share of copied bytes is an alarm.
package func tooMuchCopied(_ truth: ByteTruth, _ limit: CopyLimit, _ hints: [String]) -> String {
  "\(Units.percent(truth.shareNotZeroCopy)) of the bytes were copied or are not known to be "
    + "zero-copy, more than --max-copied \(limit.rawValue) allows"
    + hints.map { "\n  " + $0 }.joined()
}

/// Why a finished sender's exit code is not 0; nil where all was well.
package func sendOutcome(_ report: SendReport, forced: Bool) -> Outcome? {
  if let failure = report.failure { return (failure.kind, failure.description) }
  if forced { return (.failed, "forced to end: records may be cut off") }
  let failed = report.streams.filter { $0.failure != nil }
  guard let first = failed.first else { return nil }
  return (
    .peerFailed,
    "\(plural(UInt64(failed.count), "stream")) of \(report.streams.count) ended early; "
      + "the first, to \(first.remote): \(first.failure ?? "")"
  )
}

/// How much of its work a sender has done, 0 to 1.
package func sendShare(
  _ configuration: SendConfiguration, _ counters: SendCounters, fileBytes: UInt64?, now: Double
) -> Double {
  var share = 0.0
  if configuration.bytes > 0 { share = max(share, ratio(counters.bytes, configuration.bytes)) }
  if configuration.records > 0 {
    share = max(share, ratio(counters.records, configuration.records))
  }
  if let fileBytes { share = max(share, ratio(counters.bytes, fileBytes)) }
  let isTimed =
    configuration.time > 0
    || configuration.bytes == 0 && configuration.records == 0 && configuration.file == nil
  let limit = configuration.time > 0 ? configuration.time : 10
  return isTimed ? max(share, now / limit) : share
}

/// The size of a regular file; nil for pipes and what does not exist.
///
/// The kernel call is `stat`.
package func sizeOfFile(_ path: String) -> UInt64? {
  var status = stat()
  guard unsafe stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
  return UInt64(status.st_size)
}
