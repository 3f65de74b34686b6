package import Ingest

/// What held a receiver back between two moments, cause by cause: how often each came.
package struct Pressure: Encodable, Equatable, Sendable {
  /// Receives that found no free buffer (ENOBUFS, ENOMEM) and waited for some.
  package var pauses: UInt64
  /// Times that the NIC found none.
  package var noBuffers: UInt64
  /// Receives that found the completion queue full (ENOSPC).
  package var completionsFull: UInt64
  /// Calls that had the kernel read the refill queue: it was full, or nobody else reads it.
  package var refillFlushes: UInt64
  /// Times that no connection could be accepted, for want of descriptors or memory.
  package var acceptFailures: UInt64
  /// Times that a thread waited for the sink, or for the next part of the chain.
  package var sinkWaits: UInt64
  /// Times that the sink's reader was full, where that is not waited for.
  package var sinkFullTimes: UInt64

  package init(from old: ReceiveCounters = ReceiveCounters(), to new: ReceiveCounters) {
    pauses = new.pauses &- old.pauses
    noBuffers = new.noBuffers &- old.noBuffers
    completionsFull = new.completionsFull &- old.completionsFull
    refillFlushes = new.refillFlushes &- old.refillFlushes
    acceptFailures = new.acceptFailures &- old.acceptFailures
    sinkWaits = new.sinkWaits &- old.sinkWaits
    sinkFullTimes = new.sinkFullTimes &- old.sinkFullTimes
  }

  /// The causes that came, in a few words each; pauses have a column of their own.
  package var words: [String] {
    [
      (noBuffers, "NIC without buffers"), (completionsFull, "completions full"),
      (acceptFailures, "no descriptors"), (sinkWaits, "sink waited for"),
      (sinkFullTimes, "reader full"),
    ].filter { $0.0 > 0 }.map(\.1)
  }

  /// The same as sentences for the end of a run, with what helps.
  package var sentences: [String] {
    var lines: [String] = []
    func add(_ count: UInt64, _ text: (String) -> String) {
      if count > 0 { lines.append(text(plural(count, "time"))) }
    }
    add(pauses) {
      "paused \($0) for want of free buffers: TCP held the senders back, nothing was dropped"
    }
    add(noBuffers) {
      "the NIC found no free buffer \($0) or more: a larger --area helps, or a chain that gives "
        + "leases back sooner"
    }
    add(completionsFull) {
      "the completion queue was full \($0): receives were armed again, nothing was dropped; "
        + "--completions makes it longer"
    }
    add(acceptFailures) {
      "accepting waited \($0) for descriptors (`ulimit -n`, LimitNOFILE=) or memory"
    }
    add(sinkWaits) {
      "waited \($0) for the sink, or for the thread that has the next part of the chain"
    }
    return lines
  }
}
