package import Ingest
package import JSON5
package import Privilege

/// The one schema of `--json` and `--json-stream`.
///
/// A document holds `schema`, `start`, `intervals`, `connections`, `faults` and `end`; a stream
/// holds one of these parts a line, as `{"schema", "event", "data"}`. A key is never given another
/// meaning under the same schema number; new keys may come.
package enum Schema {
  package static let name = "ingest/1"
  /// Lists in a document end here; the counts beside them do not.
  package static let maxIntervals = 10_000
  package static let maxConnections = 10_000
  package static let maxFaults = 100
}

/// What was asked for, and of which machine.
package struct StartPart: Encodable, Sendable {
  package var command: String
  package var version = HelpText.version
  /// Seconds since 1970.
  package var time: Double
  package var machine: Machine
  package var configuration: JSONValue
  /// Addresses a receiver listens on, with the ports it got.
  package var listening: [String] = []
  package var remarks: [String] = []
  /// What a receiver may still do; missing where privileges are kept.
  package var privileges: PrivilegesInEffect?
}

package struct IntervalPart: Encodable, Sendable {
  package var receive: ReceiveInterval?
  package var send: SendInterval?

  package init(receive: ReceiveInterval? = nil, send: SendInterval? = nil) {
    self.receive = receive
    self.send = send
  }
}

/// A connection of a receiver that has ended.
package struct ConnectionPart: Encodable, Sendable {
  package var id: UInt64
  package var peer: String
  /// Seconds since the start of the run, as seen from outside the receiving threads.
  package var start: Double
  package var end: Double
  package var bytes: UInt64
  package var records: UInt64
  /// The digest over the connection, where the checksum stage computes one.
  package var digest: String?
  /// `finished`, `stopped`, `refused`, or what the socket answered.
  package var ended: String
}

package struct ConnectionList: Encodable, Sendable {
  package var count: UInt64 = 0
  package var first: [ConnectionPart] = []
}

package struct FaultList: Encodable, Sendable {
  package var count: UInt64 = 0
  package var first: [FaultReport] = []
}

/// What a receiver came to.
package struct ReceivePart: Encodable, Sendable {
  package var engine: String
  package var sink: String
  package var elapsedSeconds: Double
  /// From the first byte to the last.
  package var busySeconds: Double
  package var bitsPerSecond: Double
  package var cpuSeconds: Double
  package var cpuSecondsPerGB: Double
  package var entersPerGB: Double
  package var completionsPerGB: Double
  package var leasesPerBatch: Double
  /// As in an interval.
  package var copiedShare: Double
  package var zeroCopyShare: Double
  package var counters: ReceiveCounters
  package var perThread: [ReceiveCounters]
  /// What the parts of the chain cost, and what it held at the end.
  package var stages: [StagePrice] = []
  package var loads: [StageLoad] = []

  package init(_ report: ReceiveReport, perThread: [ReceiveCounters]) {
    let counters = report.counters
    engine = report.engine
    sink = report.configuration.sink
    elapsedSeconds = report.elapsedSeconds
    busySeconds = report.busySeconds
    bitsPerSecond = busySeconds > 0 ? Double(counters.bytes) * 8 / busySeconds : 0
    cpuSeconds = report.cpuSeconds
    cpuSecondsPerGB = perGB(report.cpuSeconds, counters.bytes)
    entersPerGB = perGB(Double(counters.enters), counters.bytes)
    completionsPerGB = perGB(Double(counters.completions), counters.bytes)
    leasesPerBatch = ratio(counters.leases, counters.batches)
    copiedShare = ratio(counters.copiedBytes, counters.bytes)
    zeroCopyShare = ratio(counters.truth.zeroCopy, counters.bytes)
    self.counters = counters
    self.perThread = perThread
  }
}

/// What a sender came to.
package struct SendPart: Encodable, Sendable {
  package var method: String
  package var elapsedSeconds: Double
  package var bitsPerSecond: Double
  package var cpuSeconds: Double
  package var cpuSecondsPerGB: Double
  package var entersPerGB: Double
  package var copiedShare: Double
  package var counters: SendCounters
  package var streams: [StreamReport]

  package init(_ report: SendReport) {
    let counters = report.counters
    method = report.method.rawValue
    elapsedSeconds = report.elapsedSeconds
    bitsPerSecond = elapsedSeconds > 0 ? Double(counters.bytes) * 8 / elapsedSeconds : 0
    cpuSeconds = report.cpuSeconds
    cpuSecondsPerGB = perGB(report.cpuSeconds, counters.bytes)
    entersPerGB = perGB(Double(counters.enters), counters.bytes)
    copiedShare = copiedSends(from: SendCounters(), to: counters)
    self.counters = counters
    streams = Array(report.streams.prefix(Schema.maxConnections))
  }
}

/// Per 10^9 bytes; 0 where nothing moved.
package func perGB(_ amount: Double, _ bytes: UInt64) -> Double {
  bytes == 0 ? 0 : amount / (Double(bytes) / 1e9)
}

/// How the run ended.
package struct EndPart: Encodable, Sendable {
  package var receive: ReceivePart?
  package var send: SendPart?
  package var remarks: [String] = []
  package var faults: UInt64 = 0
  /// What limited the run, where that was looked for (`ingest saturate`).
  package var saturation: SaturationPart?
  package var exitCode: Int32 = 0
  /// Why the exit code is not 0.
  package var failure: String?

  package init(
    receive: ReceivePart? = nil, send: SendPart? = nil, remarks: [String] = [], faults: UInt64 = 0
  ) {
    self.receive = receive
    self.send = send
    self.remarks = remarks
    self.faults = faults
  }
}

/// `--json`'s document.
package struct Document: Encodable, Sendable {
  package var schema = Schema.name
  package var start: StartPart
  package var intervals: [IntervalPart] = []
  package var connections = ConnectionList()
  package var faults = FaultList()
  package var end = EndPart()
}

/// One line of `--json-stream`.
package struct StreamLine<Data: Encodable>: Encodable {
  package var schema = Schema.name
  package var event: String
  package var data: Data
}
