/// Where every buffer of an area is, for tests and debug builds: with the kernel, free, or leased
/// with how many claims, to which connection, since which batch.
///
/// It says what the engine must never do by ending the process with a sentence: posting a buffer
/// that is out, leasing one that the kernel did not have, two claims on one byte, returning a claim
/// that is not out. With incremental consumption a buffer is with the kernel and leased at the same
/// time: the kernel keeps the rest of it until ``retired(_:)``. A ZCRX chunk is never retired: it
/// stays the kernel's, and its claims come and go.
///
/// - Cost: a few dozen instructions and sometimes an allocation per event; not for release builds.
public struct Ledger: ~Copyable {
  public let layout: AreaLayout
  private var accounts: [Account]
  /// Claims that are out, over all buffers.
  public private(set) var outstanding = 0
  /// The most claims that were out at a time.
  public private(set) var peak = 0

  /// A claim that is out.
  public struct Claim: Equatable, Sendable {
    public let offset: UInt64
    public let length: UInt32
    public let connection: UInt32
    /// The batch in which it was made.
    public let batch: UInt64
  }

  /// Where a buffer is.
  public enum Place: Equatable, Sendable {
    /// Neither the kernel's nor leased: it may be posted.
    case free
    /// The kernel may write it; `claims` ranges of it are out already.
    case kernel(claims: Int)
    /// Only claims keep it.
    case leased(claims: Int)
  }

  private struct Account {
    var posted = false
    var claims: [Claim] = []
  }

  /// All buffers start free.
  public init(layout: AreaLayout) {
    self.layout = layout
    accounts = Array(repeating: Account(), count: Int(layout.bufferCount))
  }

  public func place(of buffer: UInt32) -> Place {
    let account = accounts[index(buffer)]
    if account.posted { return .kernel(claims: account.claims.count) }
    return account.claims.isEmpty ? .free : .leased(claims: account.claims.count)
  }

  /// The buffer was given to the kernel.
  public mutating func posted(_ buffer: UInt32) {
    let index = index(buffer)
    invariant(!accounts[index].posted, "a buffer was given to the kernel, which had it")
    invariant(accounts[index].claims.isEmpty, "a buffer was given to the kernel while leased")
    accounts[index].posted = true
  }

  /// The kernel filled a range of a buffer it had. Offsets may carry an area id above bit 48.
  public mutating func leased(offset: UInt64, length: UInt32, connection: UInt32, batch: UInt64) {
    let start = offset & AreaLayout.offsetMask
    let buffer = checkedBuffer(start)
    invariant(length > 0, "a lease of no bytes")
    invariant(
      start + UInt64(length) <= layout.offset(of: buffer) + UInt64(layout.bufferSize),
      "a lease reaches beyond its buffer")
    let index = index(buffer)
    invariant(accounts[index].posted, "a buffer was filled that the kernel did not have")
    for claim in accounts[index].claims {
      invariant(
        start >= claim.offset + UInt64(claim.length) || start + UInt64(length) <= claim.offset,
        "two leases share a byte")
    }
    accounts[index].claims.append(
      Claim(offset: start, length: length, connection: connection, batch: batch))
    outstanding += 1
    peak = max(peak, outstanding)
  }

  /// A claim came back. `offset` is where its lease started.
  public mutating func returned(_ offset: UInt64) {
    let start = offset & AreaLayout.offsetMask
    let index = index(checkedBuffer(start))
    guard let at = accounts[index].claims.firstIndex(where: { $0.offset == start }) else {
      invariant(false, "a claim was returned that was not out (returned twice, or never leased)")
      return
    }
    accounts[index].claims.remove(at: at)
    outstanding -= 1
  }

  /// The kernel is done with the buffer; once its claims are back it is free.
  public mutating func retired(_ buffer: UInt32) {
    let index = index(buffer)
    invariant(accounts[index].posted, "the kernel finished a buffer that it did not have")
    accounts[index].posted = false
  }

  /// Claims that are out, oldest batch first; `olderThan` leaves out those made in that batch or
  /// later.
  public func claims(olderThan batch: UInt64 = .max) -> [Claim] {
    accounts.flatMap(\.claims).filter { $0.batch < batch || batch == .max }
      .sorted { ($0.batch, $0.offset) < ($1.batch, $1.offset) }
  }

  /// What is still out, in words; nil when nothing is.
  public func leaks() -> String? {
    guard outstanding > 0 else { return nil }
    let lines = claims().prefix(20).map {
      "  offset \($0.offset), \($0.length) bytes, connection \($0.connection), batch \($0.batch)"
    }
    let rest = outstanding > 20 ? "\n  and \(outstanding - 20) more" : ""
    return "\(outstanding) leases were never returned:\n"
      + lines.joined(separator: "\n") + rest
  }

  private func index(_ buffer: UInt32) -> Int {
    invariant(buffer < layout.bufferCount, "no such buffer in the area")
    return Int(buffer)
  }

  private func checkedBuffer(_ offset: UInt64) -> UInt32 {
    invariant(offset < UInt64(layout.byteCount), "an offset outside the area")
    return layout.buffer(at: offset)
  }
}
