import Testing

@testable import NICControl

/// Journals that no process wrote: they are refused, or planned with like any other.
@Suite("journals read from files")
struct JournalReadTests {
  private static func text(number: Int = 1, queue: UInt32 = 2, channels: UInt32 = 4) -> String {
    """
    {"version": 1, "boot": "b", "ifname": "eth1", "interface": 2, "rules": [],
     "contexts": [{"holder": 1, "number": 1, "table": [0, \(queue)]}],
     "entries": [{"setting": "channels", "original": [0, 0, \(channels), 0], "written": []}],
     "holders": [{"number": \(number),
                  "wish": {"queues": [\(queue)], "flows": [], "features": []}}]}
    """
  }

  private func read(_ text: String) throws -> NICJournal {
    try JournalStore.decode(text, path: "/run/j.json", ifname: "eth1")
  }

  @Test("what is written is read")
  func sound() throws {
    let journal = try read(JournalReadTests.text())
    #expect(journal.holders.map(\.number) == [1])
    #expect(try !NICPlan(ModelNIC().observed, journal, .acquire).steps.isEmpty)
  }

  @Test(
    "numbers that no journal has are refused, and the file is named",
    arguments: [
      text(number: .max), text(number: -1), text(queue: .max), text(queue: 65_536),
      text(channels: .max), "{", "[]", "1", "",
    ])
  func refused(text: String) {
    let error = #expect(throws: NICPlanError.self) { try read(text) }
    #expect(error?.what.contains("/run/j.json cannot be read") == true)
    #expect(error?.remedy?.contains("then remove the file") == true)
  }

  @Test("a kernel that names as many queues as there are numbers")
  func extremes() throws {
    #expect(NICObservation.receiveQueues([.max, 0, .max, 0]) == 65_536)
    #expect(IndirectionTable.text([.max]) == "queue 4294967295, 1 entries")
    #expect(IndirectionTable.text([.max, .max - 1]) == "queues 4294967294,4294967295, 2 entries")
    #expect(IndirectionTable.words(for: [0, .max]) == nil)
    var observed = ModelNIC().observed
    observed.values[.channels] = [.max, 0, .max, 0]
    observed.mostChannels = [.max, 0, .max, 0]
    observed.values[.indirection] = [.max, 0]
    _ = try NICPlan(observed, try read(JournalReadTests.text()), .acquire)
    _ = try NICPlan(observed, try read(JournalReadTests.text()), .release)
  }
}
