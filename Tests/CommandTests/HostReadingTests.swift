import CommandSupport
import Testing

@testable import IngestMain

/// Files of /proc as the kernel writes them.
@Suite struct HostReadingTests {
  private static let stat =
    "812 (send-0 (x)) R 1 800 800 0 -1 4194368 20 0 0 0 150 350 0 0 20 0 4 0 99 1 2 3 4 5 6 7 8 9 "
    + "10 11 12 13 14 15 17 1 0 0 0 0 0"

  @Test func aThreadIsRead() throws {
    let (name, thread) = try #require(
      HostReading.thread(stat: HostReadingTests.stat, schedule: "4900000000 70000000 12\n"))
    #expect(name == "send-0 (x)")
    #expect(thread.userTicks == 150 && thread.systemTicks == 350 && thread.cpu == 1)
    #expect(thread.isRunnable)
    #expect(thread.runningNanoseconds == 4_900_000_000)
    #expect(thread.waitingNanoseconds == 70_000_000)
  }

  /// Kernels without schedstat have the ticks.
  @Test func ticksStandIn() throws {
    let (_, thread) = try #require(HostReading.thread(stat: HostReadingTests.stat, schedule: ""))
    #expect(thread.runningNanoseconds == 5_000_000_000)
    #expect(HostReading.thread(stat: "", schedule: "") == nil)
    #expect(HostReading.thread(stat: "1 (a) R 1", schedule: "") == nil)
  }

  @Test func cpusAndSoftInterruptsAreRead() {
    let cpus = HostReading.cpus(
      "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 10 1 20 30 4 0 5 6 0 0\ncpu1 1 2\nintr 1 2\n")
    #expect(cpus.count == 1)
    #expect(cpus[0] == HostReading.CPU(total: 76, idle: 34, softInterrupts: 5, stolen: 6))
    let runs = HostReading.softRuns("      CPU0 CPU1\n NET_TX:  1 2\n NET_RX: 30 12\n")
    #expect(runs == 42)
    #expect(HostReading.softRuns("") == 0)
  }

  @Test func differencesAreShares() {
    var old = HostReading()
    var new = HostReading()
    new.nanoseconds = 2_000_000_000
    old.threads["send-0"] = HostReading.Thread()
    new.threads["send-0"] = HostReading.Thread(
      runningNanoseconds: 1_000_000_000, waitingNanoseconds: 500_000_000, userTicks: 25,
      systemTicks: 75, cpu: 1)
    new.threads["send-1"] = HostReading.Thread(runningNanoseconds: 100)
    old.cpus[1] = HostReading.CPU()
    new.cpus[1] = HostReading.CPU(total: 200, idle: 20, softInterrupts: 60, stolen: 2)
    let (thread, cpu) = new.busiest("send-", since: old)
    #expect(thread.running == 0.5 && thread.waiting == 0.25 && thread.kernelShare == 0.75)
    #expect(cpu.number == 1 && cpu.idle == 0.1 && cpu.softInterrupts == 0.3)
    #expect(new.softest(since: old).number == 1)
    #expect(new.softSeconds(since: old) == 0.6)
    #expect(new.busiest("ingest-", since: old).thread.busy == 0)
    #expect(new.seconds("send-", since: old) == 1.0000001)
  }

  /// The kernel counts a wait once it is over; one that goes on is seen by standing still.
  @Test func aWaitThatGoesOnCounts() {
    func reading(_ nanoseconds: UInt64, running: UInt64, runnable: Bool) -> HostReading {
      var reading = HostReading()
      reading.nanoseconds = nanoseconds
      reading.threads["send-0"] = HostReading.Thread(
        runningNanoseconds: running, isRunnable: runnable)
      return reading
    }
    let first = reading(0, running: 50, runnable: true)
    var second = reading(100, running: 60, runnable: true)
    second.carry(from: first)
    #expect(second.threads["send-0"]?.pendingNanoseconds == 0)
    var third = reading(200, running: 60, runnable: true)
    third.carry(from: second)
    var fourth = reading(300, running: 60, runnable: true)
    fourth.carry(from: third)
    #expect(fourth.threads["send-0"]?.pendingNanoseconds == 200)
    let thread = fourth.busiest("send-", since: second).thread
    #expect(thread.waiting == 1 && thread.running == 0)
    var asleep = reading(400, running: 60, runnable: false)
    asleep.carry(from: fourth)
    #expect(asleep.threads["send-0"]?.pendingNanoseconds == 0)
  }

  @Test func thisProcessIsThere() {
    let now = HostReading.now()
    #expect(!now.threads.isEmpty && !now.cpus.isEmpty)
  }
}
