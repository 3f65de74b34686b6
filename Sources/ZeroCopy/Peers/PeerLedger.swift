package import RingCore
import Synchronization

/// How many connections each peer address has open and how many bytes it may still send, over all
/// engines of a receiver.
///
/// Where bytes are limited, an address is kept account of to the end of the run once it has sent
/// some: else it would only have to come again. The table is as large as it will ever be: when it
/// is full, addresses that are not in it are turned away, since who can come under many addresses
/// would fill it to get around the limits. Those in it are served on.
///
/// Memory, fixed at start: 32 B for an address, 8 B for its bytes, 4 to 8 B of table: below 48 B x
/// (the most connections at a time, plus 65536 where bytes are limited: 3 MiB); pages of it that no
/// address has come to are not touched.
///
/// - Cost: a lock, a keyed hash and a short walk when a connection opens, a lock when it ends; for
///   each completion of a metered connection a compare-and-swap; none for those that are not.
@safe
package final class PeerLedger: @unchecked Sendable {
  // Sendable: entries and table belong to who holds the lock, balances are atomic.
  static let none = UInt32.max
  /// Addresses beyond those with a connection that stay known.
  package static let remembered = 65536

  private struct Entry: BitwiseCopyable {
    var address: PeerAddress
    var open: UInt32
    /// The next in the same place of the table, or the next free one.
    var next: UInt32
  }

  private struct State {
    /// Entries that were used before, and how many were ever.
    var firstFree = PeerLedger.none
    var used: UInt32 = 0
  }

  package enum Opening: Equatable {
    case account(UInt32)
    case refused(TurnedAway.Reason)
  }

  private let connections: UInt32
  private let bytes: UInt64
  let capacity: Int
  private let mask: Int
  private let entries: UnsafeMutablePointer<Entry>
  private let table: UnsafeMutablePointer<UInt32>
  /// Bytes that each address may still send.
  private let balances: UnsafeMutablePointer<Atomic<UInt64>>
  private let state = Mutex(State())

  /// Limits of 0 are none. `mostOpen` is how many connections can be open at a time.
  package init(
    connections: UInt32, bytes: UInt64, mostOpen: Int, remembered: Int = PeerLedger.remembered
  ) {
    self.connections = connections
    self.bytes = bytes
    capacity = max(1, mostOpen + (bytes == 0 ? 0 : remembered))
    let places = 1 << (Int.bitWidth - (capacity - 1).leadingZeroBitCount)
    mask = places - 1
    unsafe entries = .allocate(capacity: capacity)
    unsafe table = .allocate(capacity: places)
    unsafe table.initialize(repeating: PeerLedger.none, count: places)
    unsafe balances = .allocate(capacity: capacity)
  }

  deinit {
    unsafe entries.deallocate()
    unsafe table.deallocate()
    unsafe balances.deallocate()
  }

  var countsBytes: Bool { bytes != 0 }

  /// Counts a connection of this address, or says why there may be none.
  package func open(_ address: PeerAddress) -> Opening {
    state.withLock { state in
      let place = place(of: address)
      if let found = find(address, at: place) {
        if bytes != 0, unsafe balances[Int(found)].load(ordering: .relaxed) == 0 {
          return .refused(.bytes)
        }
        if connections != 0, unsafe entries[Int(found)].open >= connections {
          return .refused(.connections)
        }
        unsafe entries[Int(found)].open += 1
        return .account(found)
      }
      guard let new = take(&state) else { return .refused(.strangers) }
      unsafe (entries + Int(new)).initialize(
        to: Entry(address: address, open: 1, next: table[place]))
      unsafe (balances + Int(new)).initialize(to: Atomic(bytes))
      unsafe table[place] = new
      return .account(new)
    }
  }

  /// A connection has ended. An address that is none the wiser for it is forgotten.
  package func close(_ account: UInt32) {
    guard account != PeerLedger.none else { return }
    state.withLock { state in
      let index = Int(account)
      invariant(unsafe entries[index].open > 0, "a connection of the address was open")
      unsafe entries[index].open -= 1
      guard unsafe entries[index].open == 0,
        unsafe balances[index].load(ordering: .relaxed) == bytes
      else { return }
      remove(account)
      unsafe entries[index].next = state.firstFree
      state.firstFree = account
    }
  }

  /// Takes bytes off what the address may still send; as many as there are, up to `wanted`.
  package func take(_ wanted: UInt64, of account: UInt32) -> UInt64 {
    let balance = unsafe balances + Int(account)
    // Relaxed: nothing but the number itself passes between the threads.
    var left = unsafe balance.pointee.load(ordering: .relaxed)
    while left != 0 {
      let granted = min(left, wanted)
      let (done, now) = unsafe balance.pointee.compareExchange(
        expected: left, desired: left - granted, ordering: .relaxed)
      if done { return granted }
      left = now
    }
    return 0
  }

  // MARK: The table, under the lock

  /// Keyed anew for each process (SipHash), so that nobody can choose addresses that share a place.
  private func place(of address: PeerAddress) -> Int { address.hashValue & mask }

  private func find(_ address: PeerAddress, at place: Int) -> UInt32? {
    var at = unsafe table[place]
    while at != PeerLedger.none {
      if unsafe entries[Int(at)].address == address { return at }
      at = unsafe entries[Int(at)].next
    }
    return nil
  }

  private func take(_ state: inout State) -> UInt32? {
    if state.firstFree != PeerLedger.none {
      let taken = state.firstFree
      state.firstFree = unsafe entries[Int(taken)].next
      return taken
    }
    guard Int(state.used) < capacity else { return nil }
    defer { state.used += 1 }
    return state.used
  }

  private func remove(_ account: UInt32) {
    let next = unsafe entries[Int(account)].next
    let place = unsafe place(of: entries[Int(account)].address)
    if unsafe table[place] == account {
      unsafe table[place] = next
      return
    }
    var at = unsafe table[place]
    while unsafe entries[Int(at)].next != account { at = unsafe entries[Int(at)].next }
    unsafe entries[Int(at)].next = next
  }
}
