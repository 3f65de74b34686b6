import Testing

@testable import RingCore

private func fault(_ record: UInt64) -> Fault {
  Fault(.checksum, record: record, offset: 0, expected: 1, found: 2)
}

@Suite struct BatchTests {
  @Test func faultsBeyondTheLimitAreCountedOnly() {
    var batch = makeBatch(holdLimit: 1, faultLimit: 2)
    for record in 0..<UInt64(5) { batch.report(fault(record)) }
    #expect(batch.faults.total == 5)
    var drained: [UInt64] = []
    batch.faults.drain { drained.append($0.record) }
    #expect(drained == [0, 1])
    #expect(batch.faults.count == 0)
    batch.report(fault(7))
    batch.faults.drain { drained.append($0.record) }
    #expect(drained == [0, 1, 7])
    #expect(batch.refused == false)
  }

  @Test func refusingReportsAndSaysSo() {
    var batch = makeBatch(holdLimit: 1)
    batch.refuse(fault(3))
    #expect(batch.refused == true)
    #expect(batch.faults.total == 1)
  }

  @Test func givingBackMoreThanMayBeHeldEndsTheProcess() async {
    await #expect(processExitsWith: .failure) {
      var batch = makeBatch(holdLimit: 1)
      batch.giveBack(Held(offset: 0, length: 1, connection: 0))
      batch.giveBack(Held(offset: 1, length: 1, connection: 0))
    }
  }
}
