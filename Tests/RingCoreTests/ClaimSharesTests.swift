import IngestTestSupport
import Testing

@testable import RingCore

@Suite("leases with several holders")
struct ClaimSharesTests {
  @Test("counts as a dictionary does", arguments: 0..<50)
  func model(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    let limit = Int.random(in: 1...40, using: &generator)
    var shares = ClaimShares(leases: limit)
    var model: [UInt64: Int] = [:]
    for _ in 0..<5000 {
      let offset = UInt64.random(in: 0..<60, using: &generator) << 12
      if Bool.random(using: &generator), model[offset] != nil || model.count < limit {
        shares.add(offset)
        model[offset, default: 0] += 1
      } else {
        #expect(shares.remove(offset) == (model[offset] != nil))
        if let count = model[offset] { model[offset] = count > 1 ? count - 1 : nil }
      }
      #expect(shares.used == model.count)
    }
  }

  @Test("a lease goes back when the last of its holders gave it back")
  func batch() {
    var batch = makeBatch(holdLimit: 4)
    var slots: [UInt64] = []
    func returned() -> [UInt64] {
      slots = []
      batch.takeReturns { slots.append($0) }
      return slots
    }
    func lease() -> Lease { Lease(offset: 4096, length: 1, connection: 0) }
    // Neither holds, one holds, the other holds.
    let none = batch.join(lease().done(), lease().done()).take()
    #expect(none == 4096)
    for isFirst in [true, false] {
      var held: Held?
      let verdict =
        isFirst
        ? batch.join(lease().keep(into: &held), lease().done())
        : batch.join(lease().done(), lease().keep(into: &held))
      let offset = verdict.take()
      #expect(offset == nil)
      if let held = held.take() { batch.giveBack(held) }
      #expect(returned() == [4096])
    }
    // Both do.
    var one: Held?
    var two: Held?
    let verdict = batch.join(lease().keep(into: &one), lease().keep(into: &two))
    let offset = verdict.take()
    #expect(offset == nil)
    if let held = one.take() { batch.giveBack(held) }
    #expect(returned().isEmpty)
    if let held = two.take() { batch.giveBack(held) }
    #expect(returned() == [4096])
  }
}
