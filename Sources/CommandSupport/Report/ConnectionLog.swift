import Glibc
package import Ingest
import RingCore

/// Follows a receiver's connections by its events: who is open, who ended how, what was wrong.
package final class ConnectionLog {
  private struct Open {
    var peer: String
    var since: Double
  }

  private let reporter: Reporter
  private var open: [UInt64: Open] = [:]
  /// Severities of the faults seen.
  private var severities: Set<IngestError.Kind> = []
  private var lost: UInt64 = 0
  /// Those of them whose peers did not answer any more.
  private var vanished: UInt64 = 0

  /// Whether the process has given its rights up, which explains some faults.
  private let hasDropped: Bool

  package init(_ reporter: Reporter, hasDropped: Bool) {
    self.reporter = reporter
    self.hasDropped = hasDropped
  }

  package var openCount: Int { open.count }

  /// Takes one event; `now` is in seconds since the start of the run.
  package func take(_ event: ReceiveEvent, now: Double) {
    switch event {
    case .opened(let connection):
      let peer = "\(connection.peer)"
      open[connection.serial] = Open(peer: peer, since: now)
      reporter.opened(connection.serial, peer)
    case .closed(let connection, let end, let bytes, let records, let digest):
      let since = open.removeValue(forKey: connection.serial)?.since ?? now
      switch end {
      case .failed, .misplaced, .unsplit, .starved: lost += 1
      case .finished, .refused, .stopped, .limited: break
      }
      if end.isPeerGone { vanished += 1 }
      reporter.closed(
        ConnectionPart(
          id: connection.serial, peer: "\(connection.peer)", start: since, end: now, bytes: bytes,
          records: records, digest: digest.map(hexadecimal), ended: end.text))
    case .fault(let fault):
      if let severity = fault.severity { severities.insert(severity) }
      reporter.fault(FaultReport(fault, peer: open[fault.connection]?.peer, dropped: hasDropped))
    case .turnedAway(let whom): reporter.turnedAway(whom)
    case .synced(let file): reporter.synced(file)
    }
  }

  /// What the faults and lost connections make of a run that did not fail otherwise.
  ///
  /// A digest that does not fit outweighs data that could not be received, which outweighs a peer
  /// that broke off.
  package func verdict(_ counters: ReceiveCounters) -> (kind: IngestError.Kind, text: String)? {
    let faults = max(counters.faults, reporter.faults.count)
    let first = reporter.faults.first.first.map { "; the first: \($0.text)" } ?? ""
    if severities.contains(.failed) {
      return (.failed, "the sink failed\(first)")
    }
    if severities.contains(.verificationFailed) {
      return (.verificationFailed, "verification failed: \(plural(faults, "fault"))\(first)")
    }
    let steering = [
      (counters.misplaced, "came through another queue than the one that ingest holds"),
      (counters.unsplit, "was not split from its headers, and device memory takes no copy"),
      (
        counters.starved,
        "had to be copied, and the NIC's rings had all buffers: make --area larger than they are"
      ),
    ].filter { $0.0 > 0 }.map { "data of \(plural($0.0, "connection")) \($0.1)" }
    let placing = counters.misplaced + counters.unsplit + counters.starved
    let reset = max(counters.reset, lost) - placing
    // A fault whose event found no place in the queue may have been of any kind.
    if faults > reporter.faults.count {
      return (.verificationFailed, "\(plural(faults, "fault")), too many to be told apart\(first)")
    }
    if !steering.isEmpty {
      // A record that is cut off with the stream is no fault of the peer's.
      let rest = faults > 0 ? "; \(plural(faults, "fault"))\(first)" : ""
      return (.refusedByKernel, "cut short: " + steering.joined(separator: ", ") + rest)
    }
    if !severities.isEmpty || reset > 0 || counters.refused > 0 || counters.limited > 0 {
      let broken = reset - min(vanished, reset)
      let parts = [
        (vanished, "\(plural(vanished, "peer")) vanished"),
        (broken, "\(plural(broken, "connection")) broke off"),
        (counters.refused, "\(plural(counters.refused, "connection")) refused"),
        (counters.limited, "\(plural(counters.limited, "connection")) over --max-bytes-per-peer"),
        (faults, plural(faults, "fault")),
      ]
      let text = parts.filter { $0.0 > 0 }.map(\.1).joined(separator: ", ")
      return (.peerFailed, "a peer failed: \(text)\(first)")
    }
    return nil
  }
}

extension StreamEnd {
  /// Whether the peer's host answered nothing any more: keepalive probes ended the connection.
  fileprivate var isPeerGone: Bool {
    guard case .failed(let code) = self else { return false }
    // What ICMP said last stands for the time that ran out (net/ipv4/tcp_timer.c, tcp_write_err).
    return [ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, EHOSTDOWN].contains(abs(code))
  }

  package var text: String {
    switch self {
    case .finished: "finished"
    case .failed(let code) where isPeerGone:
      "the peer vanished: its host answered nothing within --peer-timeout "
        + "(\(errorText(abs(code))))"
    case .failed(let code): errorText(abs(code))
    case .refused: "refused"
    case .stopped: "stopped"
    case .misplaced: "its data came through another queue than the one that ingest holds"
    case .limited: "its peer has sent all the bytes that --max-bytes-per-peer allows"
    case .unsplit: "the NIC did not split its headers off, and device memory takes no copy"
    case .starved:
      "its data had to be copied, and for ten seconds the NIC's rings had all buffers of the area"
    }
  }
}

/// `1 fault`, `2 faults`.
package func plural(_ count: UInt64, _ noun: String) -> String {
  "\(count) \(noun)\(count == 1 ? "" : "s")"
}
