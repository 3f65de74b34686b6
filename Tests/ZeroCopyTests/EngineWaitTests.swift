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
  @Test func withoutAMinimumWaitOneCompletionIsEnough() throws {
    var options = try CopyEngineTests.options()
    options.engine.minimumWait = 0
    options.engine.waitBatch = 8
    let run = try EngineRun(options: options, connections: 1)
    do {
      let client = LoopbackClient(to: run.endpoint)
      #expect(client.send(pattern(0..<10)))
    }
    let result = try run.finish()
    #expect(result.stage.bytes == 10)
    #expect(result.stage.ends == [.finished])
  }

  /// Another thread may reach a limit before this one is set up.
  @Test func aStopAskedForBeforeTheEngineWasMadeEndsIt() throws {
    let control = EngineControl()
    control.ask(.stop)
    let (listener, _) = try Self.listener()
    let options = try CopyEngineTests.options()
    let thread = TestThread {
      do {
        var engine = try CopyEngine(
          options: options, listener: listener, control: control,
          shared: SharedCounters(EngineCounters()))
        var stage = PatternStage(connections: options.engine.maxConnections)
        engine.run(&stage)
      } catch {
        Issue.record("engine: \(error)")
      }
    }
    thread.join()
  }

  /// The first wait is as long as the run, not as long as the machine has been up.
  @Test func aDeadlineEndsARunThatNobodyConnectsTo() throws {
    var limits = EngineControl.Limits()
    limits.deadline = ik_clock_ns() + 20_000_000
    let control = EngineControl(limits: limits)
    let (listener, _) = try Self.listener()
    let options = try CopyEngineTests.options()
    let shared = SharedCounters(EngineCounters())
    let thread = TestThread {
      do {
        var engine = try CopyEngine(
          options: options, listener: listener, control: control, shared: shared)
        var stage = PatternStage(connections: options.engine.maxConnections)
        engine.run(&stage)
      } catch {
        Issue.record("engine: \(error)")
      }
    }
    thread.join()
    #expect(shared.snapshot().accepted == 0)
  }

  enum Limit: CaseIterable { case deadline, bytes }

  /// While the sink finishes, an engine whose limit was reached sleeps; it does not turn in place.
  @Test(arguments: Limit.allCases)
  func aReachedLimitIsNotReachedAgain(limit: Limit) throws {
    var limits = EngineControl.Limits()
    limits.deadline = ik_clock_ns() + (limit == .deadline ? 20_000_000 : 300_000_000_000)
    if limit == .bytes { limits.bytes = 10 }
    let control = EngineControl(limits: limits)
    let (listener, endpoint) = try Self.listener()
    let options = try CopyEngineTests.options()
    let shared = SharedCounters(EngineCounters())
    let thread = TestThread {
      do {
        var engine = try CopyEngine(
          options: options, listener: listener, control: control, shared: shared)
        var stage = LingeringStage()
        engine.run(&stage)
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
