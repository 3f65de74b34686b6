import CIngestKernel
import Glibc
import Synchronization
import ZeroCopy

/// One sending thread: pins itself, sets its ring up, makes its content and sends.
final class SendThread: Sendable {
  let index: Int
  let cpu: Int32
  let plan: SendPlan
  /// Connected sockets of this thread's streams; the sender owns them.
  let descriptors: [Int32]
  let shared = SendShared()
  private let state = Mutex(State())

  struct State {
    var handle: UInt64?
    var ready = false
    var finished = false
    var failure: IngestError?
    var remarks: [String] = []
    var mode = SendMode.plain
    var results: [SendStreamResult] = []
    var cpuNanoseconds: UInt64 = 0
    var startedAt: UInt64 = 0
    var endedAt: UInt64 = 0
  }

  init(index: Int, cpu: Int32, plan: SendPlan, descriptors: [Int32]) {
    self.index = index
    self.cpu = cpu
    self.plan = plan
    self.descriptors = descriptors
  }

  /// Starts the thread and waits until it sends or has failed.
  func start() -> IngestError? {
    var handle: UInt64 = 0
    let context = unsafe Unmanaged.passRetained(self).toOpaque()
    let error = unsafe ik_thread_start(
      &handle,
      { context in unsafe Unmanaged<SendThread>.fromOpaque(context).takeRetainedValue().main() },
      context)
    guard error == 0 else {
      unsafe Unmanaged<SendThread>.fromOpaque(context).release()
      return IngestError(
        .failed, "cannot start a thread: \(unsafe String(cString: strerror(-error)))")
    }
    state.withLock { $0.handle = handle }
    while true {
      let (ready, failure) = state.withLock { ($0.ready || $0.finished, $0.failure) }
      if ready { return failure }
      usleep(200)
    }
  }

  func join() {
    guard let handle = state.withLock({ $0.handle.take() }) else { return }
    _ = ik_thread_join(handle)
  }

  var outcome: State { state.withLock { $0 } }
  var isFinished: Bool { state.withLock { $0.finished } }

  private func main() {
    unsafe "send-\(index)".withCString { unsafe ik_thread_name($0) }
    do throws(IngestError) {
      let error = ik_thread_pin(cpu)
      guard error == 0 else { throw Placement.refusal(cpu, error: -error) }
      try send()
    } catch {
      state.withLock { $0.failure = error }
    }
    state.withLock { state in
      state.cpuNanoseconds = ik_thread_cpu_ns()
      state.endedAt = ik_clock_ns()
      state.finished = true
    }
  }

  private func send() throws(IngestError) {
    let budget = plan.budget(of: index)
    let seed = plan.configuration.seed
    switch plan.content {
    case .pattern:
      var content = PatternContent(seed: seed, bytes: budget.bytes)
      try run(&content)
    case .record(let kind):
      var content = RecordContent(
        seed: seed, kind: kind, streams: descriptors.count, budget: budget)
      try run(&content)
    case .packed(let kind, let sizes):
      var content = PackedContent(
        seed: seed, kind: kind, sizes: sizes, whole: !plan.options.ordered,
        streams: plan.streams(of: index), budget: budget)
      try run(&content)
    case .file(let path):
      var content = try FileContent(path: path, budget: budget)
      try run(&content)
      if content.failure != 0 {
        let why = unsafe String(cString: strerror(content.failure))
        throw IngestError(
          .failed,
          "reading \(path == "-" ? "standard input" : path) failed after "
            + "\(shared.counters.snapshot().bytes) bytes sent: \(why)")
      }
    }
  }

  private func run<Content: SendContent & ~Copyable>(
    _ content: inout Content
  ) throws(IngestError) {
    do throws(RingError) {
      if plan.options.mode == .messageZeroCopy {
        var loop = try MessageSendLoop(plan.options, descriptors: descriptors, shared: shared)
        announce()
        loop.run(&content)
        conclude(loop.results(), from: loop.startedAt, mode: .messageZeroCopy, remarks: [])
      } else {
        var loop = try SendLoop(plan.options, descriptors: descriptors, shared: shared)
        announce()
        loop.run(&content)
        conclude(
          loop.results(), from: loop.startedAt, mode: loop.usedMode, remarks: loop.remarks)
      }
    } catch {
      throw SendThread.refusal(error)
    }
  }

  private func announce() { state.withLock { $0.ready = true } }

  private func conclude(
    _ results: [SendStreamResult], from startedAt: UInt64, mode: SendMode, remarks: [String]
  ) {
    state.withLock { state in
      state.startedAt = startedAt
      state.results = results
      state.mode = mode
      state.remarks = remarks
    }
  }

  private static func refusal(_ error: RingError) -> IngestError {
    if error.isRing { return IngestError(error) }
    return switch error.errno {
    case EPERM: IngestError(.noPrivilege, "could not \(error.step)", remedy: error.remedy)
    case EOPNOTSUPP, ENOSYS:
      IngestError(
        .notSupported, "this kernel or socket cannot \(error.step)",
        remedy:
          "--method send works everywhere; zero-copy with reports needs Linux 6.2 (`uname -r`)")
    default: IngestError(.refusedByKernel, "could not \(error.step)", remedy: error.remedy)
    }
  }
}
