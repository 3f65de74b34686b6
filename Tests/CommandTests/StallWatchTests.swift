import Ingest
import Testing

@testable import IngestMain

@Suite("threads that stand still")
struct StallWatchTests {
  private static func load(
    items: UInt64, depth: UInt64, handling: Double = 0
  ) -> [StageLoad] {
    let place = StageLoad.Place(
      name: "sink", items: items, depth: depth, deepest: 9, busySeconds: 0, sleeps: 0)
    return [
      StageLoad(
        thread: 1, heldLeases: 3, keptBytes: 0, oldestHoldSeconds: 0, handlingSeconds: handling,
        places: [place])
    ]
  }

  @Test("one that has work and does none for five seconds is told of, once")
  func told() {
    var watch = StallWatch(stages: [])
    var said: [String] = []
    for tenth in 0..<200 {
      said += watch.look(StallWatchTests.load(items: 7, depth: 4), now: Double(tenth) / 10)
    }
    #expect(said.count == 1)
    #expect(said.first?.contains("the sink's thread (of receiving thread 1)") == true)
    #expect(said.first?.contains("4 items and 3 leases") == true)
    // It goes on, and stands still again.
    said = watch.look(StallWatchTests.load(items: 8, depth: 4), now: 20)
    for tenth in 201..<300 {
      said += watch.look(StallWatchTests.load(items: 8, depth: 4), now: Double(tenth) / 10)
    }
    #expect(said.count == 1)
  }

  @Test("a receiving thread that stays in a batch is told of once for each, with its stages")
  func receiving() {
    var watch = StallWatch(stages: ["./libslow.so"])
    var said: [String] = []
    for tenth in 0..<100 {
      said += watch.look(
        StallWatchTests.load(items: 0, depth: 0, handling: Double(tenth) / 10),
        now: Double(tenth) / 10)
    }
    #expect(said.count == 1)
    #expect(said.first?.hasPrefix("receiving thread 1 has been within one batch for 5 s") == true)
    #expect(said.first?.contains("./libslow.so") == true)
    said = watch.look(StallWatchTests.load(items: 0, depth: 0, handling: 0.1), now: 10)
    #expect(said.isEmpty)
    said = (1...6).flatMap { second in
      watch.look(
        StallWatchTests.load(items: 0, depth: 0, handling: Double(second)),
        now: 10 + Double(second))
    }
    #expect(said.count == 1)
    // It waits for the thread behind it, which is told of instead.
    said = watch.look(StallWatchTests.load(items: 0, depth: 0, handling: 0), now: 17)
    said = (1...6).flatMap { second in
      watch.look(
        StallWatchTests.load(items: 0, depth: 9, handling: Double(second)),
        now: 17 + Double(second))
    }
    #expect(said.count == 1)
    #expect(said.first?.hasPrefix("the sink's thread") == true)
  }

  @Test("nobody is told of for the time that the process itself was stopped")
  func stopped() {
    var watch = StallWatch(stages: [])
    #expect(watch.look(StallWatchTests.load(items: 7, depth: 0), now: 1).isEmpty)
    // What the clock says of a batch, and of a place with work, after a minute of SIGSTOP.
    for second in 61...65 {
      let load = StallWatchTests.load(items: 7, depth: 0, handling: Double(second) - 1)
      #expect(watch.look(load, now: Double(second)).isEmpty)
    }
    #expect(watch.look(StallWatchTests.load(items: 7, depth: 0, handling: 65), now: 66).count == 1)
    #expect(watch.look(StallWatchTests.load(items: 7, depth: 3), now: 67).isEmpty)
    for second in 127...131 {
      let load = StallWatchTests.load(items: 7, depth: 3)
      #expect(watch.look(load, now: Double(second)).isEmpty)
    }
    #expect(watch.look(StallWatchTests.load(items: 7, depth: 3), now: 132).count == 1)
  }

  @Test("one that moves, or has nothing to do, is not")
  func quiet() {
    var watch = StallWatch(stages: [])
    for tenth in 0..<200 {
      let moving = StallWatchTests.load(items: UInt64(tenth / 20), depth: 1)
      #expect(watch.look(moving, now: Double(tenth) / 10).isEmpty)
    }
    for tenth in 200..<400 {
      let idle = StallWatchTests.load(items: 99, depth: 0)
      #expect(watch.look(idle, now: Double(tenth) / 10).isEmpty)
    }
  }
}
