import IngestTestSupport
import RingCore
import Synchronization
import Testing
import ZeroCopy

@Suite struct PeerLedgerTests {
  private static func address(_ number: Int) -> PeerAddress {
    PeerAddress(peer("10.\(number >> 16 & 255).\(number >> 8 & 255).\(number & 255)"))
  }

  private static func account(_ opening: PeerLedger.Opening) throws -> UInt32 {
    guard case .account(let number) = opening else {
      throw RingError("\(opening)", errno: 0)
    }
    return number
  }

  @Test func countsConnectionsOfEachAddress() throws {
    let ledger = PeerLedger(connections: 2, bytes: 0, mostOpen: 8)
    let (one, other) = (Self.address(1), Self.address(2))
    let first = try Self.account(ledger.open(one))
    #expect(try Self.account(ledger.open(one)) == first)
    #expect(ledger.open(one) == .refused(.connections))
    #expect(try Self.account(ledger.open(other)) != first)
    ledger.close(first)
    #expect(try Self.account(ledger.open(one)) == first)
    #expect(ledger.open(one) == .refused(.connections))
  }

  /// Without a limit of bytes there is room for as many addresses as connections, ever.
  @Test func forgetsAddressesWithoutConnections() throws {
    let ledger = PeerLedger(connections: 1, bytes: 0, mostOpen: 4)
    for number in 0..<10_000 {
      ledger.close(try Self.account(ledger.open(Self.address(number))))
    }
    let open = try (0..<4).map { try Self.account(ledger.open(Self.address($0))) }
    #expect(Set(open).count == 4)
    #expect(ledger.open(Self.address(9)) == .refused(.strangers))
  }

  @Test func bytesAreGrantedUpToTheLimit() throws {
    let ledger = PeerLedger(connections: 0, bytes: 1000, mostOpen: 4, remembered: 4)
    let one = try Self.account(ledger.open(Self.address(1)))
    #expect(ledger.take(600, of: one) == 600)
    #expect(ledger.take(600, of: one) == 400)
    #expect(ledger.take(1, of: one) == 0)
    ledger.close(one)
    // Coming again does not help.
    #expect(ledger.open(Self.address(1)) == .refused(.bytes))
    let other = try Self.account(ledger.open(Self.address(2)))
    #expect(ledger.take(2000, of: other) == 1000)
  }

  /// Who has sent something stays known; who has not makes room. A full table refuses strangers and
  /// serves those that it has.
  @Test func aFullTableRefusesStrangers() throws {
    let ledger = PeerLedger(connections: 0, bytes: 10, mostOpen: 2, remembered: 2)
    for number in 0..<4 {
      let account = try Self.account(ledger.open(Self.address(number)))
      #expect(ledger.take(4, of: account) == 4)
      ledger.close(account)
    }
    #expect(ledger.open(Self.address(4)) == .refused(.strangers))
    let known = try Self.account(ledger.open(Self.address(2)))
    #expect(ledger.take(10, of: known) == 6)
    // Addresses that never send anything take no place for good.
    let roomy = PeerLedger(connections: 0, bytes: 10, mostOpen: 1, remembered: 0)
    for number in 0..<100 {
      roomy.close(try Self.account(roomy.open(Self.address(number))))
    }
  }

  /// Against a model, with addresses that share places of the table.
  @Test(arguments: [1, 2, 3, 4] as [UInt64])
  func agreesWithAModel(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let ledger = PeerLedger(connections: 3, bytes: 5000, mostOpen: 6, remembered: 6)
    var open: [Int: [UInt32]] = [:]
    var left: [Int: UInt64] = [:]
    for _ in 0..<20_000 {
      let number = Int.random(in: 0..<40, using: &generator)
      let mine = open[number, default: []]
      if Bool.random(using: &generator) {
        let known = left[number] != nil
        let wanted: TurnedAway.Reason? =
          left[number] == 0
          ? .bytes
          : mine.count >= 3
            ? .connections
            : !known && left.count >= 12 ? .strangers : nil
        switch ledger.open(Self.address(number)) {
        case .account(let account):
          #expect(wanted == nil)
          open[number] = mine + [account]
          if !known { left[number] = 5000 }
        case .refused(let reason): #expect(reason == wanted)
        }
      } else if let account = mine.last {
        let bytes = UInt64.random(in: 0...40, using: &generator)
        let granted = ledger.take(bytes, of: account)
        #expect(granted == min(bytes, left[number] ?? 0))
        left[number]? -= granted
        if Bool.random(using: &generator) {
          ledger.close(account)
          open[number] = Array(mine.dropLast())
          if mine.count == 1 && left[number] == 5000 { left[number] = nil }
        }
      }
    }
  }

  /// Threads that share an address take no byte twice.
  @Test func threadsShareABalance() throws {
    let ledger = PeerLedger(connections: 0, bytes: 1_000_000, mostOpen: 4)
    let account = try Self.account(ledger.open(Self.address(1)))
    let total = Total()
    let threads = (0..<4).map { index in
      TestThread {
        while true {
          let granted = ledger.take(UInt64(7 + index), of: account)
          if granted == 0 { break }
          total.sum.wrappingAdd(granted, ordering: .relaxed)
        }
      }
    }
    for thread in threads { thread.join() }
    #expect(total.sum.load(ordering: .relaxed) == 1_000_000)
  }

  private final class Total: Sendable {
    let sum = Atomic<UInt64>(0)
  }

  @Test func everybodyIsLetInWithoutRules() {
    #expect(PeerGate(PeerGate.Rules()) == nil)
  }
}
