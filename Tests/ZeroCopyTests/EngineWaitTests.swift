import CIngestKernel
import Glibc
import IngestTestSupport
import RingCore
import Synchronization
import Testing
import ZeroCopy

/// Has work pending for a while after the first batch, as a sink has with a slow disk.
private struct LingeringStage: Stage {
  var until: UInt64 = 0
  var now: UInt64 = 0

  mutating func take(_ lease: consuming Lease, in batch: inout Batch) -> Verdict { lease.done() }

  mutating func endBatch(in batch: inout Batch) {
    if until == 0 { until = batch.now + 300_000_000 }
    // A sink's completions wake the engine; here its own clock has to do.
    now = ik_clock_ns()
  }

  var pending: Int { now < until ? 1 : 0 }
}

/// When the engine sleeps, and what wakes it.
@Suite struct EngineWaitTests {
  private static func listener() throws -> (descriptor: Int32, endpoint: ik_endpoint) {
    var at = loopback(AF_INET)
    let descriptor = unsafe ik_listen(&at, 128, 0, 0, nil)
    try #require(descriptor >= 0)
    var bound = ik_endpoint()
    _ = unsafe ik_endpoint_of(descriptor, 0, &bound)
    return (descriptor, bound)
  }

  /// A batch that may not be waited for is one completion, however many were asked for.
  @Test(arguments: EngineSetup.Kind.each)
  func withoutAMinimumWaitOneCompletionIsEnough(kind: EngineSetup.Kind) throws {
    var setup = EngineSetup(kind)
    setup.options.minimumWait = 0
    setup.options.waitBatch = 8
    let run = try EngineRun(setup, connections: 1)
    do {
      let client = LoopbackClient(to: run.endpoint)
      #expect(client.send(pattern(0..<10)))
    }
    let result = try run.finish()
    #expect(result.stage.bytes == 10)
    #expect(result.stage.ends == [.finished])
  }

  /// With no buffer left nothing completes, and a wait for more than there are takes all its time.
  @Test(arguments: [(1, 1), (3, 1), (16, 4), (100, 25), (256, 32), (1 << 20, 32)])
  func aBatchIsAQuarterOfTheBuffersAtMost(buffers: UInt32, completions: UInt32) {
    #expect(EngineOptions().batch(buffers: buffers) == completions)
  }

  /// Another thread may reach a limit before this one is set up.
  @Test(arguments: EngineSetup.Kind.each)
  func aStopAskedForBeforeTheEngineWasMadeEndsIt(kind: EngineSetup.Kind) throws {
    let control = EngineControl()
    control.ask(.stop)
    let (listener, _) = try Self.listener()
    let setup = EngineSetup(kind)
    let thread = TestThread {
      do {
        var stage = PatternStage(connections: setup.options.maxConnections)
        _ = try setup.run(
          &stage, listener: listener, control: control, shared: SharedCounters(EngineCounters()))
      } catch {
        Issue.record("engine: \(error)")
      }
    }
    thread.join()
  }

  /// The first wait is as long as the run, not as long as the machine has been up.
  @Test(arguments: EngineSetup.Kind.each)
  func aDeadlineEndsARunThatNobodyConnectsTo(kind: EngineSetup.Kind) throws {
    var limits = EngineControl.Limits()
    limits.deadline = ik_clock_ns() + 20_000_000
    let control = EngineControl(limits: limits)
    let (listener, _) = try Self.listener()
    let setup = EngineSetup(kind)
    let shared = SharedCounters(EngineCounters())
    let thread = TestThread {
      do {
        var stage = PatternStage(connections: setup.options.maxConnections)
        _ = try setup.run(&stage, listener: listener, control: control, shared: shared)
      } catch {
        Issue.record("engine: \(error)")
      }
    }
    thread.join()
    #expect(shared.snapshot().accepted == 0)
  }

  enum Limit: CaseIterable { case deadline, bytes }

  /// While the sink finishes, an engine whose limit was reached sleeps; it does not turn in place.
  @Test(arguments: EngineSetup.Kind.each, Limit.allCases)
  func aReachedLimitIsNotReachedAgain(kind: EngineSetup.Kind, limit: Limit) throws {
    var limits = EngineControl.Limits()
    limits.deadline = ik_clock_ns() + (limit == .deadline ? 20_000_000 : 300_000_000_000)
    if limit == .bytes { limits.bytes = 10 }
    let control = EngineControl(limits: limits)
    let (listener, endpoint) = try Self.listener()
    let setup = EngineSetup(kind)
    let shared = SharedCounters(EngineCounters())
    let thread = TestThread {
      do {
        var stage = LingeringStage()
        _ = try setup.run(&stage, listener: listener, control: control, shared: shared)
      } catch {
        Issue.record("engine: \(error)")
      }
    }
    if limit == .bytes {
      let client = LoopbackClient(to: endpoint)
      #expect(client.send(pattern(0..<10)))
    }
    // The stage cannot wake the engine, so the test does.
    usleep(400_000)
    control.ask(.abort)
    thread.join()
    #expect(shared.snapshot().enters < 100)
  }
}
