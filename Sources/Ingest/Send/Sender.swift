import CIngestKernel
import Glibc
import RingCore
import Synchronization
import ZeroCopy

/// Sends to one host over TCP or UDP: `streams` connections, served by `threads` rings, each with a
/// pinned thread of its own.
///
/// ```swift
/// let sender = try Sender(configuration)
/// try sender.start()
/// while !sender.isFinished { sleep(1); print(sender.snapshot().bytes) }
/// let report = sender.finish()
/// ```
///
/// ``start()`` and ``finish()`` are for one controlling thread; ``snapshot()``, ``stop()`` and
/// ``isFinished`` may be used from any.
public final class Sender: Sendable {
  /// What was asked for, as given.
  public let configuration: SendConfiguration
  let plan: SendPlan
  private let addresses: [ik_endpoint]
  private let state = Mutex(State())

  struct State: ~Copyable {
    var sockets: SendSockets?
    var threads: [SendThread] = []
    var stopped = false
    var finalRetransmits: UInt64?
  }

  /// Checks the configuration and resolves the host name (getaddrinfo(3)). Connects nothing.
  ///
  /// Errors: `usage` for values that make no sense together, `failed` for an unknown host; each
  /// names the flag or host and what to do.
  public init(_ configuration: SendConfiguration) throws(IngestError) {
    plan = try SendPlan(configuration)
    if case .file(let path) = plan.content, path != "-" {
      // Said before a connection is made; the sending thread opens it again.
      _ = try FileContent(path: path, budget: .unlimited)
    }
    addresses = try SendSockets.resolve(configuration)
    self.configuration = configuration
  }

  /// Connects every stream from the calling thread, then starts the sending threads.
  ///
  /// Errors: `peerFailed` when the peer refuses, does not answer within `connectTimeout` or cannot
  /// be reached; `notSupported`, `refusedByKernel` or `noPrivilege` when io_uring, the pool's
  /// registration (RLIMIT_MEMLOCK) or pinning is refused. Nothing is left running after an error.
  public func start() throws(IngestError) {
    let sockets = try SendSockets(configuration, to: addresses)
    let wanted =
      configuration.cpus.isEmpty
      ? Placement.allowedCPUs().map(Int.init) : configuration.cpus
    let cpus = try Placement.cpus(wanted, threads: configuration.threads, flag: "--cpus")
    let threads = (0..<configuration.threads).map { index in
      SendThread(
        index: index, cpu: cpus[index], plan: plan,
        descriptors: plan.streams(of: index).map { sockets.descriptors[$0] })
    }
    for (index, thread) in threads.enumerated() {
      guard let failure = thread.start() else { continue }
      for started in threads[0...index] { started.shared.requestAbort() }
      for started in threads[0...index] { started.join() }
      throw failure
    }
    let kept = Mutex<SendSockets?>(sockets)
    state.withLock { state in
      state.sockets = kept.withLock { $0.take() }
      state.threads = threads
    }
  }

  /// The counters of all threads, as they are now. Retransmits come from TCP_INFO, by one
  /// getsockopt(2) per stream.
  public func snapshot() -> SendCounters {
    state.withLock { state in
      var total = SendCounters()
      for thread in state.threads { total.add(thread.shared.counters.snapshot()) }
      total.retransmits =
        state.finalRetransmits ?? Sender.retransmits(state.sockets?.descriptors ?? [])
      return total
    }
  }

  /// First call: finish the record under way, send no more, wait for what the kernel still has.
  /// Second call: leave at once; TCP peers see a reset. Takes effect within 50 ms.
  public func stop() {
    state.withLock { state in
      for thread in state.threads {
        if state.stopped { thread.shared.requestAbort() }
        thread.shared.requestStop()
      }
      state.stopped = true
    }
  }

  /// Whether every thread has ended; ``finish()`` then returns without waiting.
  public var isFinished: Bool { threads.allSatisfy(\.isFinished) }

  /// Waits for the threads to end, closes the sockets and reports. The report's `failure` is set
  /// (`peerFailed`) when any stream ended early; the others went on.
  public func finish() -> SendReport {
    let threads = threads
    for thread in threads { thread.join() }
    let outcomes = threads.map(\.outcome)
    let streams = streamReports(outcomes)
    // From the first fill of any thread to the end of the last; setting up is not sending.
    let startedAt = outcomes.map(\.startedAt).filter { $0 > 0 }.min() ?? 0
    let endedAt = startedAt > 0 ? outcomes.map(\.endedAt).max() ?? startedAt : startedAt
    state.withLock { state in
      state.finalRetransmits = Sender.retransmits(state.sockets?.descriptors ?? [])
      state.sockets = nil
    }
    var remarks: [String] = []
    for remark in outcomes.flatMap(\.remarks) where !remarks.contains(remark) {
      remarks.append(remark)
    }
    return SendReport(
      configuration: configuration, counters: snapshot(),
      elapsedSeconds: Double(endedAt - startedAt) / 1e9,
      cpuSeconds: Double(outcomes.map(\.cpuNanoseconds).reduce(0, +)) / 1e9,
      method: SendMethod(outcomes.first?.mode ?? plan.options.mode), remarks: remarks,
      streams: streams,
      failure: outcomes.compactMap(\.failure).first ?? failure(of: streams))
  }

  private var threads: [SendThread] { state.withLock { $0.threads } }

  /// Descriptors of the connected sockets, for what the kernel tells of them.
  var descriptors: [Int32] { state.withLock { $0.sockets?.descriptors ?? [] } }

  private static func retransmits(_ descriptors: [Int32]) -> UInt64 {
    descriptors.reduce(0) { $0 + UInt64(max(ik_tcp_retransmits($1), 0)) }
  }

  private func streamReports(_ outcomes: [SendThread.State]) -> [StreamReport] {
    let descriptors = descriptors
    let remote = state.withLock { state in state.sockets?.remote ?? Endpoint() }
    return descriptors.enumerated().map { index, descriptor in
      let place = index / plan.configuration.threads
      let results = outcomes[index % plan.configuration.threads].results
      let result = place < results.count ? results[place] : nil
      var local = ik_endpoint()
      unsafe _ = ik_endpoint_of(descriptor, 0, &local)
      return StreamReport(
        local: "\(Endpoint(raw: local))", remote: "\(remote)", bytes: result?.bytes ?? 0,
        records: result?.records ?? 0,
        congestion: plan.options.ordered ? SendSockets.congestion(of: descriptor) : nil,
        retransmits: UInt64(max(ik_tcp_retransmits(descriptor), 0)),
        failure: result.flatMap { Sender.sentence($0, remote: "\(remote)") })
    }
  }

  private static func sentence(_ result: SendStreamResult, remote: String) -> String? {
    switch result.failure {
    case 0: return nil
    case EPIPE, ECONNRESET: return "\(remote) closed the connection after \(result.bytes) bytes"
    case ECONNREFUSED: return "nothing receives at \(remote) (port unreachable)"
    case ECANCELED: return "aborted after \(result.bytes) bytes"
    case ETIMEDOUT: return "\(remote) stopped taking data: not all of it was acknowledged"
    case EMSGSIZE: return "the datagrams are too long for the path to \(remote)"
    case ENOMEM: return "out of locked memory: raise it with `ulimit -l`, or use send-zc-fixed"
    default: return unsafe String(cString: strerror(result.failure))
    }
  }

  private func failure(of streams: [StreamReport]) -> IngestError? {
    let failed = streams.compactMap(\.failure)
    guard let first = failed.first else { return nil }
    let what =
      streams.count == 1 ? first : "\(failed.count) of \(streams.count) streams failed: \(first)"
    let remedy =
      plan.configuration.transport == .tcp
      ? "see what the receiver says; the other end decides when to close"
      : "`ss -lun` on that host lists what receives UDP; ingest itself receives TCP"
    return IngestError(.peerFailed, what, remedy: remedy)
  }
}

extension SendCounters {
  /// Adds what one thread counted.
  mutating func add(_ tally: SendTally) {
    bytes += tally.bytes
    records += tally.records
    sends += tally.sends
    zeroCopySends += tally.zeroCopySends
    copiedSends += tally.copiedSends
    copiedBytes += tally.copiedBytes
    notifications += tally.notifications
    poolWaits += tally.poolWaits
    enters += tally.enters
    shortSends += tally.shortSends
  }
}
