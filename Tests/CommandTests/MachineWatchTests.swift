import Ingest
import Testing

@testable import IngestMain

@Suite("what the machine does to a run")
struct MachineWatchTests {
  @Test("a thread that is moved is told of once, and again when it is back")
  func moved() {
    var watch = MachineWatch()
    let home = ThreadPlacement(name: "thread 0", cpu: 3, allowed: [3])
    let away = ThreadPlacement(name: "thread 0", cpu: 3, allowed: [0, 1])
    let loose = ThreadPlacement(name: "thread 0", cpu: 3, allowed: [0, 3])
    var said: [MachineWatch.Note] = []
    for (second, place) in [home, home, away, away, home, loose, home].enumerated() {
      said += watch.look([place], ReceiveCounters(), now: Double(second + 1))
    }
    #expect(said.map(\.kind) == ["moved", "moved", "moved", "moved"])
    #expect(said[0].text.contains("CPU 3 and may now run on 0,1: that CPU is offline"))
    #expect(said[1].text == "thread 0 is back on CPU 3 alone")
    #expect(said[2].text.contains("taskset"))
  }

  @Test("connections that cannot be accepted are told of once a minute")
  func accepting() {
    var watch = MachineWatch()
    var said: [MachineWatch.Note] = []
    for second in 1...70 {
      var counters = ReceiveCounters()
      counters.acceptFailures = UInt64(max(0, second - 5))
      said += watch.look([], counters, now: Double(second))
    }
    #expect(said.map(\.kind) == ["accepting", "accepting"])
    #expect(said.first?.text.contains("ulimit -n") == true)
  }
}
