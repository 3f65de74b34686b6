import CIngestKernel
import Glibc
import IngestTestSupport
import RingCore
import Synchronization
import Testing
import ZeroCopy

/// Checks that each connection's bytes are the pattern, in order, and notes how streams ended.
struct PatternStage: Stage {
  var positions: [UInt64]
  var bytes: UInt64 = 0
  var mismatches = 0
  var ends: [StreamEnd] = []
  var turnedAway: [TurnedAway.Reason] = []
  /// Refuse a connection at this stream position.
  var refuseAt: UInt64 = .max

  init(connections: Int) { positions = Array(repeating: 0, count: connections) }

  static func byte(at position: UInt64) -> UInt8 {
    UInt8(truncatingIfNeeded: position &* 31 &+ position >> 8)
  }

  mutating func take(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    let slot = Int(lease.connection)
    let start = positions[slot]
    var wrong = 0
    batch.area.withBytes(of: lease) { span in
      for index in 0..<span.byteCount
      where unsafe span.unsafeLoad(fromByteOffset: index, as: UInt8.self)
        != PatternStage.byte(at: start + UInt64(index))
      { wrong += 1 }
    }
    mismatches += wrong
    bytes += UInt64(lease.length)
    positions[slot] += UInt64(lease.length)
    if positions[slot] > refuseAt {
      batch.refuse(Fault(.badMagic, record: 0, offset: start, expected: 0, found: 0))
    }
    return lease.done()
  }

  mutating func opened(_ connection: Connection, in batch: inout Batch) {
    positions[Int(connection.slot)] = 0
  }

  mutating func turnedAway(_ turnedAway: TurnedAway, in batch: inout Batch) {
    self.turnedAway.append(turnedAway.reason)
  }

  mutating func closed(_ connection: Connection, _ end: StreamEnd, in batch: inout Batch) {
    ends.append(end)
  }
}

/// An engine to be made, and the sizes that tests choose.
struct EngineSetup: Sendable {
  var kind = Kind.copy(nil)
  var bufferSize = 65536
  var buffers = 16
  var completions: UInt32 = 4096
  var refill: UInt32 = 4096
  var memory = AreaMemoryKind.pages
  /// In memory that another process may map.
  var isShared = false
  var options = EngineOptions()

  enum Kind: Sendable, Equatable {
    case copy(CopyEngineOptions.Mode?)
    /// ZCRX without a NIC: the same rings, all copied.
    case nodev(ZCRXOptions.RefillMemory)
    /// ZCRX on a queue of a NIC; what comes over loopback is copied.
    case zcrx(ZCRXOptions.Target)

    /// What this machine can run: device-less needs Linux 7.1 and CAP_NET_ADMIN.
    static let available: [Kind] = {
      let copying: [Kind] = CopyEngineOptions.Mode.allCases.map { .copy($0) }
      guard KernelFeatures().deviceless == .yes, geteuid() == 0 else { return copying }
      return copying + [.nodev(.user), .nodev(.kernel)] + (queue.map { [.zcrx($0)] } ?? [])
    }()

    /// The queue that the environment names for tests, as "zc0:3".
    static let queue: ZCRXOptions.Target? = {
      guard let text = unsafe getenv("INGEST_TEST_QUEUE") else { return nil }
      let parts = unsafe String(cString: text).split(separator: ":")
      guard parts.count == 2, let queue = UInt32(parts[1]) else { return nil }
      let index = unsafe if_nametoindex(String(parts[0]))
      return index == 0 ? nil : ZCRXOptions.Target(interface: index, queue: queue)
    }()

    static var each: [Kind] { [.copy(nil)] + available.filter { $0.isZeroCopy } }

    var isDeviceless: Bool { if case .nodev = self { true } else { false } }

    var isZeroCopy: Bool { if case .copy = self { false } else { true } }
  }

  init(_ kind: Kind = .copy(nil)) {
    self.kind = kind
    options.maxConnections = 64
    // Without a device a buffer is a page. A NIC's ring takes its share before anything comes.
    if kind.isDeviceless { (bufferSize, buffers) = (4096, 256) }
    if case .zcrx = kind { (bufferSize, buffers) = (4096, 8192) }
  }

  /// Runs an engine on this thread until it ends; says whether every buffer came back.
  func run<S: Stage & ~Copyable>(
    _ stage: inout S, listener: Int32, control: EngineControl,
    shared: SharedCounters<EngineCounters>
  ) throws -> Bool {
    let layout = try #require(AreaLayout(bufferSize: bufferSize, bufferCount: buffers))
    switch kind {
    case .copy(let mode):
      var copying = CopyEngineOptions(layout: layout)
      copying.mode = mode
      copying.memory = memory
      copying.isShared = isShared
      copying.engine = options
      var engine = try CopyEngine(
        options: copying, listener: listener, control: control, shared: shared)
      engine.run(&stage)
      return engine.allBuffersHome
    case .nodev(let provider):
      var options = ZCRXOptions(target: nil)
      options.refillMemory = provider
      return try runZeroCopy(
        &stage, layout, options, listener: listener, control: control, shared: shared)
    case .zcrx(let target):
      return try runZeroCopy(
        &stage, layout, ZCRXOptions(target: target), listener: listener, control: control,
        shared: shared)
    }
  }

  private func runZeroCopy<S: Stage & ~Copyable>(
    _ stage: inout S, _ layout: AreaLayout, _ binding: ZCRXOptions, listener: Int32,
    control: EngineControl, shared: SharedCounters<EngineCounters>
  ) throws -> Bool {
    var binding = binding
    binding.refillEntries = refill
    let ring = try Ring(
      entries: min(ZeroCopyEngine.submissionEntries, completions),
      completionEntries: completions)
    let area = try bind(layout, binding, on: ring)
    var engine = try ZeroCopyEngine(
      ring: ring, area: area, options: options, listener: listener, control: control,
      shared: shared)
    engine.run(&stage)
    return engine.leaks() == nil
  }

  /// The queue of the test before may still be on its way back from the kernel.
  private func bind(
    _ layout: AreaLayout, _ options: ZCRXOptions, on ring: borrowing Ring
  ) throws -> ZCRXArea {
    for _ in 0..<100 {
      do throws(RingError) {
        return try ZCRXArea(
          try AreaBacking(layout, kind: memory, shared: isShared), options: options, on: ring,
          features: KernelFeatures())
      } catch {
        guard error.errno == EEXIST else { throw error }
        usleep(50_000)
      }
    }
    throw RingError("bind a queue that nobody let go of for five seconds", errno: EEXIST)
  }
}

/// One engine on a thread of its own, with a stage that checks the pattern.
final class EngineRun: Sendable {
  struct Result: Sendable {
    var stage: PatternStage
    var counters: EngineCounters
    var home: Bool
  }

  let control: EngineControl
  let endpoint: ik_endpoint
  private let thread: TestThread
  private let result: Mutex<Result?>

  init(
    _ setup: EngineSetup, connections: UInt64, family: Int32 = AF_INET,
    refuseAt: UInt64 = .max
  ) throws {
    var limits = EngineControl.Limits()
    limits.connections = connections
    limits.deadline = ik_clock_ns() + 300_000_000_000
    let control = EngineControl(limits: limits)
    var at = loopback(family)
    let listener = unsafe ik_listen(&at, 128, 0, 0, nil)
    try #require(listener >= 0)
    var bound = ik_endpoint()
    _ = unsafe ik_endpoint_of(listener, 0, &bound)
    let box = ResultBox()
    thread = TestThread {
      let shared = SharedCounters(EngineCounters())
      do {
        var stage = PatternStage(connections: setup.options.maxConnections)
        stage.refuseAt = refuseAt
        let home = try setup.run(&stage, listener: listener, control: control, shared: shared)
        box.value.withLock {
          $0 = Result(stage: stage, counters: shared.snapshot(), home: home)
        }
      } catch {
        Issue.record("engine: \(error)")
      }
    }
    self.control = control
    endpoint = bound
    self.result = Mutex(nil)
    self.box = box
  }

  private let box: ResultBox

  final class ResultBox: Sendable {
    let value = Mutex<Result?>(nil)
  }

  func finish() throws -> Result {
    thread.join()
    return try #require(box.value.withLock { $0 })
  }
}

func pattern(_ range: Range<UInt64>) -> [UInt8] { range.map(PatternStage.byte(at:)) }
