import CIngestKernel
import Glibc
public import RingCore
import Stages
public import ZeroCopy

/// Runs a chain on what a recorded thread's kernel did: the engine's own code, on completions in
/// the recorded order, batches and sizes, with ends, errors and stops where they were. No network
/// and no ring is used.
///
/// Payload is made up by a seed, since none is recorded; peers have no address.
public struct FlightReplay: Sendable {
  /// What one thread's replay came to.
  public struct Outcome: Sendable {
    public let thread: Int
    public let recorded: FlightCounts
    public let replayed: FlightCounts
    public let counters: ReceiveCounters
    /// What the chain found: the first hundred.
    public let faults: [Fault]
    /// What is not as it was, as sentences.
    public let differences: [String]
    public let remarks: [String]
  }

  /// As recorded, with sink null; what it says of where bytes come from is not looked at.
  public let configuration: ReceiveConfiguration
  public let kernel: String
  private let file: FlightFile
  private let seed: UInt64

  /// Errors: a recording of a configuration that this build does not know.
  public init(_ file: FlightFile, seed: UInt64 = 1) throws(IngestError) {
    do {
      let text = try FlightText(decoding: file.text)
      var configuration = text.configuration
      configuration.sink = "null"
      self.configuration = configuration
      kernel = text.kernel
    } catch {
      throw IngestError(
        .failed, "the recording's configuration is not one that this build knows",
        remedy: "replay it with the ingest that recorded it")
    }
    self.file = file
    self.seed = seed
  }

  /// The threads that have something to replay.
  public var threads: [Int] {
    file.tracks.filter { track in
      track.shape != nil && track.events.contains { $0.kind == .batch }
    }.map(\.thread)
  }

  /// Replays one thread with the chain of `chain`; of it parse, checksum, stages and place count.
  /// `make` makes the receiver, as for a run.
  public func run(
    thread: Int, chain: ReceiveConfiguration,
    _ make: (ReceiveConfiguration) throws(IngestError) -> Receiver
  ) throws(IngestError) -> Outcome {
    guard let track = file.tracks.first(where: { $0.thread == thread }), let shape = track.shape
    else { throw IngestError(.usage, "thread \(thread) has recorded nothing") }
    guard chain.sink == "null" else {
      throw IngestError(
        .usage, "a replay cannot run --sink \(chain.sink): nobody answers its requests",
        remedy: "replay with --sink null; what the sink answered then is shown by "
          + "`ingest flight show`")
    }
    let configuration = FlightReplay.configuration(chain, shape)
    let receiver = try make(configuration)
    return try receiver.replay(track, shape, seed: seed)
  }

  /// A configuration whose engine and area are those of then.
  private static func configuration(
    _ chain: ReceiveConfiguration, _ shape: FlightTrack.Shape
  ) -> ReceiveConfiguration {
    var configuration = ReceiveConfiguration()
    (configuration.parse, configuration.checksum) = (chain.parse, chain.checksum)
    (configuration.stages, configuration.stageTimeout) = (chain.stages, chain.stageTimeout)
    (configuration.place, configuration.maxRecord) = (chain.place, chain.maxRecord)
    configuration.engine = shape.engine == .copy ? .copy : .nodev
    configuration.area = shape.layout.byteCount
    configuration.buffer = Int(shape.layout.bufferSize)
    configuration.refill = Int(shape.refillEntries)
    configuration.completions = Int(shape.completionEntries)
    configuration.maxConnections = shape.maxConnections
    configuration.recordEvents = 0
    return configuration
  }
}

extension Receiver {
  /// Replays a track on a thread of its own, and waits for it.
  func replay(
    _ track: FlightTrack, _ shape: FlightTrack.Shape, seed: UInt64
  ) throws(IngestError) -> FlightReplay.Outcome {
    let chain: ChainSpecification
    do throws(SpecificationError) {
      chain = try ChainSpecification(
        parse: configuration.parse, checksum: configuration.checksum, sink: configuration.sink,
        recordBound: configuration.maxRecord == 0 ? nil : configuration.maxRecord)
    } catch {
      throw IngestError(.usage, error.description, remedy: error.remedy)
    }
    let script = ReplayScript(track.events)
    let control = EngineControl()
    let payload = ReplayPayload(chain, seed: seed)
    let kernel = unsafe ReplayKernel(shape, script, control: control) {
      unsafe payload.fill($0, $1)
    }
    let recording = try Receiver.recording(for: track)
    let cpu = try Placement.cpus([], threads: 1, flag: "--cpu")[0]
    let thread = QueueThread(
      index: 0, cpu: cpu, configuration: configuration,
      listeners: [socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)], control: control, body: body,
      plan: plan, shares: QueueShares(), exchange: nil, gate: nil, recording: recording,
      replay: kernel)
    var faults: [Fault] = []
    func drain() {
      thread.drainEvents { event in
        if case .fault(let fault) = event, faults.count < 100 { faults.append(fault) }
      }
    }
    if let failure = thread.start() {
      thread.join()
      thread.closeListener()
      throw failure
    }
    while !thread.isFinished {
      drain()
      usleep(1000)
    }
    thread.join()
    drain()
    if let failure = thread.failure { throw failure }
    return FlightReplay.Outcome(
      track, script, kernel, thread: thread, recording, faults, payload.remark)
  }

  /// Room for all that a replay does: what was recorded, and what led up to it.
  private static func recording(for track: FlightTrack) throws(IngestError) -> FlightRecording {
    var events = 4096
    while events < 4 * track.events.count { events *= 2 }
    do throws(RingError) {
      return try FlightRecording(threads: 1, events: events, path: nil, text: "{}")
    } catch {
      throw IngestError(error)
    }
  }
}

extension FlightReplay.Outcome {
  init(
    _ track: FlightTrack, _ script: ReplayScript, _ kernel: ReplayKernel, thread: QueueThread,
    _ recording: FlightRecording, _ faults: [Fault], _ remark: String?
  ) {
    self.thread = track.thread
    self.faults = faults
    recorded = FlightCounts(track.events, isWhole: script.isWhole)
    counters = thread.counters
    let again = (try? recording.read())?.tracks.first?.events ?? []
    replayed = FlightCounts(again, isWhole: script.isWhole)
    var differences = replayed.differences(from: recorded).map {
      "\($0.name): \($0.there) recorded, \($0.here) replayed"
    }
    if let stuck = kernel.stuck { differences.append(stuck) }
    if kernel.batchesLeft > 0 {
      differences.append(
        "\(kernel.batchesLeft) of \(script.batches.count) batches were not reached")
    }
    differences += thread.failures
    self.differences = differences
    var remarks = [remark].compactMap { $0 }
    if !script.openBefore.isEmpty {
      remarks.append("\(script.openBefore.count) connections were open before it begins")
    }
    if track.lost > 0 { remarks.append("\(track.lost) earlier events were written over") }
    if !script.isWhole { remarks.append("it ends amid the run; its last batch is not compared") }
    if kernel.skipped > 0 {
      remarks.append("\(kernel.skipped) completions are a sink's or of connections gone: left out")
    }
    if kernel.moved > 0 { remarks.append("\(kernel.moved) leases lay elsewhere then") }
    self.remarks = remarks
  }
}
