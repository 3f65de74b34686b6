import CommandSupport
import Ingest
import RingCore
import Testing

@Suite("what held a receiver back")
struct PressureTests {
  /// Each cause that is counted has its words in an interval, and a sentence at the end.
  @Test(arguments: 0..<4)
  func causes(index: Int) {
    let causes: [(WritableKeyPath<ReceiveCounters, UInt64>, String, String)] = [
      (\.noBuffers, "NIC without buffers", "--area"),
      (\.completionsFull, "completions full", "--completions"),
      (\.acceptFailures, "no descriptors", "ulimit -n"),
      (\.sinkWaits, "sink waited for", "waited 3 times"),
    ]
    let (path, words, sentence) = causes[index]
    var old = ReceiveCounters()
    old[keyPath: path] = 4
    var new = old
    #expect(Pressure(from: old, to: new).words.isEmpty)
    new[keyPath: path] = 7
    let pressure = Pressure(from: old, to: new)
    #expect(pressure.words == [words])
    #expect(pressure.sentences.count == 1 && pressure.sentences[0].contains(sentence))
    #expect(pressure.sentences[0].contains("3 times"))
    let row = ReceiveInterval(from: old, to: new, start: 1, end: 2, cpu: nil)
    #expect(row.pressure == pressure)
    #expect(row.row("SUM", .adaptive).hasSuffix("  (\(words))"))
  }

  @Test func pausesHaveTheirColumn() {
    var counters = ReceiveCounters()
    counters.pauses = 2
    #expect(Pressure(to: counters).words.isEmpty)
    #expect(Pressure(to: counters).sentences.first?.hasPrefix("paused 2 times") == true)
  }

  @Test func aMissingRightIsExplainedWhereRightsWereGivenUp() {
    let text = "stage words: cannot open /srv/words.txt: Permission denied"
    let explained = withPrivilegeHint(text, dropped: true)
    #expect(explained.hasPrefix(text + "; "))
    #expect(explained.contains("when a stage is made") && explained.contains("--privileges keep"))
    // Once, and only where it is the likely cause.
    #expect(withPrivilegeHint(explained, dropped: true) == explained)
    #expect(withPrivilegeHint(text, dropped: false) == text)
    let other = "stage words: cannot open /srv/words.txt: No such file or directory"
    #expect(withPrivilegeHint(other, dropped: true) == other)
    var fault = Fault(.sink, record: 0, offset: 0, expected: 0, found: 1)
    fault.connection = 1
    #expect(FaultReport(fault, peer: nil, dropped: true).text.contains("--privileges keep"))
    #expect(!FaultReport(fault, peer: nil).text.contains("--privileges keep"))
  }
}
