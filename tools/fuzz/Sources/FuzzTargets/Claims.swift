import CIngestShm
import Glibc

@testable import RingCore
@testable import Stages

extension Target {
  static let claims = Target(
    "claims", "what a consumer writes into the memory it shares, and claims that come back",
    longest: 512
  ) { bytes in
    var input = Input(bytes)
    if input.flag() { shares(&input) } else { ring(&input) }
  }

  /// Leases with several holders, beside a dictionary that counts the same.
  private static func shares(_ input: inout Input) {
    let leases = 1 + input.below(16)
    var shares = ClaimShares(leases: leases)
    var counts: [UInt64: Int] = [:]
    while !input.rest.isEmpty {
      let choice = input.byte()
      // Few places, so that they meet; now and then one with the name of an area above it.
      let offset = UInt64(choice & 0x1f) << 6 | (choice & 0x40 == 0 ? 0 : 1 << 48)
      if choice & 0x20 == 0 {
        guard counts[offset] != nil || counts.count < leases else { continue }
        shares.add(offset)
        counts[offset, default: 0] += 1
      } else {
        let isShared = shares.remove(offset)
        require(isShared == (counts[offset] != nil), "a lease at \(offset), shared: \(isShared)")
        if let count = counts[offset] { counts[offset] = count > 1 ? count - 1 : nil }
      }
      require(shares.used == counts.count, "\(shares.used) leases of \(counts.count)")
    }
  }

  /// The producer at work while the consumer writes what it likes, wherever it can.
  private static func ring(_ input: inout Input) {
    let records = 1 << (1 + input.below(4))
    let returns = 1 << (1 + input.below(4))
    let bytes = SharedRing.byteCount(records: records, returns: returns)
    let memory = unsafe GuardedRing.shared.zeroed(bytes)
    var ring = unsafe SharedRing(
      unsafeMemory: memory, records: records, returns: returns, areaBytes: 65_536, thread: 0)
    let words = unsafe memory.assumingMemoryBound(to: UInt32.self)
    var batch = Batch(area: GuardedArea.shared.memory, submissions: nil, holdLimit: returns)
    var claims = SharedClaims(capacity: returns - 1)
    var returned = 0
    var kept = 0
    var isBelieved = true
    while !input.rest.isEmpty, isBelieved {
      let choice = input.byte()
      switch choice & 7 {
      case 0, 1:
        // The consumer's two positions, or any word.
        let place = choice & 8 == 0 ? 64 + Int(choice >> 4 & 1) : Int(input.short()) % (bytes / 4)
        unsafe words[place] = choice & 32 == 0 ? UInt32(input.byte() & 31) : input.word()
      case 2: unsafe giveBack(&input, words, returns, records)
      case 3: take(&ring, &claims, &batch, &kept)
      case 4: _ = ring.publish()
      case 5:
        let unread = ring.unread
        let flaw = ring.readPosition()
        require(flaw == nil ? ring.unread <= unread : ring.unread == unread, "it was unread")
        isBelieved = flaw == nil
      case 6: ring.announceWait()
      default:
        isBelieved = takeBack(&ring, &claims, &batch)
      }
      require(ring.unread <= UInt32(records), "\(ring.unread) records unread")
      require(claims.heldCount + batch.returnCount <= returns, "more came back than was held")
      if choice & 64 != 0 { batch.takeReturns { _ in returned += 1 } }
    }
    _ = claims.giveBackAll(in: &batch)
    batch.takeReturns { _ in returned += 1 }
    require(returned == kept && claims.count == 0, "\(returned) of \(kept) leases came back")
  }

  /// A record with a claim, where there is room for both.
  private static func take(
    _ ring: inout SharedRing, _ claims: inout SharedClaims, _ batch: inout Batch, _ kept: inout Int
  ) {
    guard ring.hasRoom, claims.mayHold(in: batch) else { return }
    var record = ingest_shm_record()
    kept += 1
    let lease = Lease(offset: UInt64(kept % 16) << 12, length: 8, connection: 0)
    let verdict = claims.keep(lease, .init(records: 1, bytes: 8), number: &record.claim)
    require(verdict.take() == nil, "a lease that is kept came back")
    ring.push(record)
  }

  /// What came back, up to a number that is none: false where one is.
  private static func takeBack(
    _ ring: inout SharedRing, _ claims: inout SharedClaims, _ batch: inout Batch
  ) -> Bool {
    guard let ready = ring.readyReturns() else { return false }
    require(ready <= ring.returnCount, "\(ready) of \(ring.returnCount) claims came back")
    for _ in 0..<ready {
      guard claims.giveBack(ring.takeReturn(), in: &batch) != nil else { return false }
    }
    ring.retireReturns()
    return true
  }

  /// Puts a number into a place of the list of claims that come back: one that was given, or not.
  private static func giveBack(
    _ input: inout Input, _ words: UnsafeMutablePointer<UInt32>, _ returns: Int, _ records: Int
  ) {
    let at = (SharedRing.headerBytes + records * SharedRing.recordBytes) / 4
    let place = at + 2 * input.below(returns)
    unsafe words[place] = UInt32(input.byte() & 31)
    unsafe words[place + 1] = UInt32(input.byte() & 7)
  }
}

/// Memory of a ring that ends where nothing is mapped.
@safe
private final class GuardedRing: @unchecked Sendable {
  // Sendable: there is one thread.
  static let shared = GuardedRing()
  private let end: UnsafeMutableRawPointer
  private static let room = 8192

  private init() {
    let mapped = unsafe mmap(
      nil, GuardedRing.room + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | Int32(MAP_ANONYMOUS), -1,
      0)
    guard let base = unsafe mapped, unsafe base != MAP_FAILED,
      unsafe mprotect(base + GuardedRing.room, 4096, PROT_NONE) == 0
    else { fatalError("no memory for a ring") }
    unsafe end = base + GuardedRing.room
  }

  /// The last `count` bytes, a multiple of 16.
  func zeroed(_ count: Int) -> UnsafeMutableRawPointer {
    require(count <= GuardedRing.room && count % 16 == 0, "a ring of \(count) bytes")
    let memory = unsafe end - count
    unsafe memory.initializeMemory(as: UInt8.self, repeating: 0, count: count)
    return unsafe memory
  }
}
