import CIngestKernel
import Glibc
import Testing

@testable import RingCore

@Suite struct LeaseTests {
  @Test func doneGivesTheOffsetBack() {
    let lease = Lease(offset: 1 << 48 | 4096, length: 10, connection: 2)
    #expect(lease.done().take() == 1 << 48 | 4096)
  }

  @Test func keptLeasesLiveOnAndComeBackThroughTheBatch() {
    var batch = makeBatch(holdLimit: 2)
    var slot: Held?
    let lease = Lease(offset: 8192, length: 10, connection: 2)
    #expect(lease.keep(into: &slot).take() == nil)
    guard let held = slot.take() else {
      Issue.record("keep left the slot empty")
      return
    }
    #expect(held.offset == 8192)
    #expect(held.length == 10)
    #expect(held.connection == 2)
    batch.giveBack(held)
    var returned: [UInt64] = []
    batch.takeReturns { returned.append($0) }
    #expect(returned == [8192])
    batch.takeReturns { _ in Issue.record("a claim was handed out twice") }
  }

  @Test func keepingWhereAnotherLeaseIsEndsTheProcess() async {
    await #expect(processExitsWith: .failure) {
      var slot: Held?
      _ = Lease(offset: 0, length: 1, connection: 0).keep(into: &slot).take()
      _ = Lease(offset: 4096, length: 1, connection: 0).keep(into: &slot).take()
    }
  }

  @Test func aDroppedLeaseIsFatalWhereAsked() async {
    await #expect(processExitsWith: .signal(SIGABRT)) {
      ik_lease_drop_is_fatal(1)
      _ = Lease(offset: 0, length: 1, connection: 0)
    }
    await #expect(processExitsWith: .signal(SIGABRT)) {
      ik_lease_drop_is_fatal(1)
      var slot: Held?
      _ = Lease(offset: 0, length: 1, connection: 0).keep(into: &slot).take()
      slot = nil
    }
  }

  @Test func aDroppedLeaseIsCountedOtherwise() async {
    await #expect(processExitsWith: .success) {
      guard droppedLeases == 0 else { fatalError("counted before anything was dropped") }
      _ = Lease(offset: 0, length: 1, connection: 0)
      guard droppedLeases == 1 else { fatalError("a drop was not counted") }
      _ = Lease(offset: 0, length: 1, connection: 0).done().take()
      guard droppedLeases == 1 else { fatalError("an answer was counted as a drop") }
    }
  }
}

/// A batch over an area that no test here touches.
func makeBatch(holdLimit: Int, faultLimit: Int = 4) -> Batch {
  guard let layout = AreaLayout(bufferSize: 4096, bufferCount: 1) else {
    fatalError("one page is an area")
  }
  // Never read or written: an aligned address that is not null.
  let area = unsafe AreaMemory(
    unsafeBase: UnsafeMutableRawPointer(bitPattern: 4096)!, layout: layout)
  return Batch(area: area, submissions: nil, holdLimit: holdLimit, faultLimit: faultLimit)
}
