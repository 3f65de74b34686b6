import RingCore
import Testing

private func ledger() -> Ledger {
  guard let layout = AreaLayout(bufferSize: 4096, bufferCount: 4) else {
    fatalError("a layout of four pages is a layout")
  }
  return Ledger(layout: layout)
}

@Suite struct LedgerTests {
  @Test func aBufferGoesToTheKernelOutAndBack() {
    var ledger = ledger()
    #expect(ledger.place(of: 1) == .free)
    ledger.posted(1)
    #expect(ledger.place(of: 1) == .kernel(claims: 0))
    ledger.leased(offset: 4096, length: 100, connection: 3, batch: 1)
    ledger.leased(offset: 4196, length: 100, connection: 4, batch: 2)
    #expect(ledger.place(of: 1) == .kernel(claims: 2))
    ledger.retired(1)
    #expect(ledger.place(of: 1) == .leased(claims: 2))
    ledger.returned(4196)
    ledger.returned(4096)
    #expect(ledger.place(of: 1) == .free)
    #expect(ledger.outstanding == 0)
    #expect(ledger.peak == 2)
    #expect(ledger.leaks() == nil)
    ledger.posted(1)
  }

  @Test func whatIsOutIsListedOldestFirst() throws {
    var ledger = ledger()
    ledger.posted(0)
    ledger.posted(2)
    ledger.leased(offset: 8192, length: 7, connection: 5, batch: 9)
    ledger.leased(offset: 0, length: 4096, connection: 6, batch: 11)
    #expect(ledger.claims().map(\.batch) == [9, 11])
    #expect(ledger.claims(olderThan: 10).map(\.offset) == [8192])
    let report = ledger.leaks()
    let leaks = try #require(report)
    #expect(leaks.contains("2 leases"))
    #expect(leaks.contains("offset 8192, 7 bytes, connection 5, batch 9"))
  }

  @Test func theAreaIdAboveTheOffsetIsIgnored() {
    var ledger = ledger()
    ledger.posted(0)
    ledger.leased(offset: 1 << 48 | 16, length: 1, connection: 0, batch: 0)
    ledger.returned(16)
    #expect(ledger.outstanding == 0)
  }

  @Test func returningTwiceEndsTheProcess() async {
    await #expect(processExitsWith: .failure) {
      var ledger = ledger()
      ledger.posted(0)
      ledger.leased(offset: 0, length: 10, connection: 0, batch: 0)
      ledger.returned(0)
      ledger.returned(0)
    }
    await #expect(processExitsWith: .failure) {
      var ledger = ledger()
      ledger.returned(4096)
    }
  }

  @Test func postingWhatIsOutEndsTheProcess() async {
    await #expect(processExitsWith: .failure) {
      var ledger = ledger()
      ledger.posted(0)
      ledger.posted(0)
    }
    await #expect(processExitsWith: .failure) {
      var ledger = ledger()
      ledger.posted(0)
      ledger.leased(offset: 0, length: 10, connection: 0, batch: 0)
      ledger.retired(0)
      ledger.posted(0)
    }
  }

  @Test func leasingWhatTheKernelDidNotHaveEndsTheProcess() async {
    await #expect(processExitsWith: .failure) {
      var ledger = ledger()
      ledger.leased(offset: 0, length: 10, connection: 0, batch: 0)
    }
    await #expect(processExitsWith: .failure) {
      var ledger = ledger()
      ledger.retired(0)
    }
  }

  @Test func leasesThatShareAByteOrLeaveTheirBufferEndTheProcess() async {
    await #expect(processExitsWith: .failure) {
      var ledger = ledger()
      ledger.posted(0)
      ledger.leased(offset: 0, length: 10, connection: 0, batch: 0)
      ledger.leased(offset: 9, length: 10, connection: 0, batch: 0)
    }
    await #expect(processExitsWith: .failure) {
      var ledger = ledger()
      ledger.posted(0)
      ledger.leased(offset: 4090, length: 10, connection: 0, batch: 0)
    }
    await #expect(processExitsWith: .failure) {
      var ledger = ledger()
      ledger.posted(3)
      ledger.leased(offset: 4 * 4096, length: 1, connection: 0, batch: 0)
    }
  }
}
