import IngestTestSupport
import RingCore
import Testing

@testable import Stages

@Suite("claims of a consumer")
struct SharedClaimsTests {

  @Test("a claim comes back once; any other number never", arguments: 1...20 as ClosedRange<UInt64>)
  func once(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let layout = try #require(AreaLayout(bufferSize: 4096, bufferCount: 64))
    let area = FakeArea(layout: layout)
    var batch = Batch(area: area.memory, submissions: nil, holdLimit: 32)
    var claims = SharedClaims(capacity: 32)
    var out: [UInt64: UInt64] = [:]  // number: bytes
    var spent: [UInt64] = []
    var next: UInt64 = 0
    for _ in 0..<4000 {
      if Bool.random(using: &generator), claims.mayHold(in: batch) {
        next += 1
        var number: UInt64 = 0
        let lease = Lease(offset: next % 64 * 4096, length: 10, connection: 0)
        let verdict = claims.keep(
          lease, .init(records: 1, bytes: next % 1000), number: &number)
        #expect(verdict.take() == nil)
        #expect(out.updateValue(next % 1000, forKey: number) == nil)
      }
      let guess: UInt64? =
        switch Int.random(in: 0...3, using: &generator) {
        case 0: out.keys.sorted().randomElement(using: &generator)
        case 1: spent.randomElement(using: &generator)
        case 2: generator.next()
        default: UInt64.random(in: 0..<64, using: &generator)
        }
      if let guess {
        let content = claims.giveBack(guess, in: &batch)
        let wanted = out.removeValue(forKey: guess)
        #expect(content?.bytes == wanted, "number \(guess)")
        if wanted != nil { spent.append(guess) }
      }
      #expect(claims.heldCount == out.count)
      #expect(claims.heldCount + batch.returnCount <= 32)
      if Int.random(in: 0...9, using: &generator) == 0 { batch.takeReturns { _ in } }
    }
    batch.takeReturns { _ in }
    let rest = claims.giveBackAll(in: &batch)
    #expect(rest.records == UInt64(out.count))
    #expect(rest.bytes == out.values.reduce(0, +))
    #expect(batch.returnCount == out.count)
    #expect(claims.count == 0)
    for number in out.keys {
      let again = claims.giveBack(number, in: &batch)
      #expect(again == nil)
    }
  }

  @Test("one lease may be lent where as many are held as may be")
  func lent() throws {
    let layout = try #require(AreaLayout(bufferSize: 4096, bufferCount: 64))
    let area = FakeArea(layout: layout)
    var batch = Batch(area: area.memory, submissions: nil, holdLimit: 1)
    var claims = SharedClaims(capacity: 1)
    var number: UInt64 = 0
    _ = claims.keep(
      Lease(offset: 0, length: 1, connection: 0), .init(records: 1, bytes: 1), number: &number
    ).take()
    let isFull = !claims.mayHold(in: batch)
    #expect(isFull)
    let lent = claims.lend(.init(records: 2, bytes: 5))
    #expect(lent != number)
    let back = claims.giveBack(lent, in: &batch)
    #expect(back?.bytes == 5)
    #expect(batch.returnCount == 0, "what is in hand goes back by its verdict")
    let again = claims.giveBack(lent, in: &batch)
    #expect(again == nil)
    let held = claims.giveBack(number, in: &batch)
    #expect(held?.bytes == 1)
    #expect(batch.returnCount == 1)
    // Back within this batch, it still counts: returns have room for as many as may be held.
    let isStillFull = !claims.mayHold(in: batch)
    batch.takeReturns { _ in }
    let hasRoom = claims.mayHold(in: batch)
    #expect(isStillFull && hasRoom)
  }
}
