import Glibc
import RingCore

/// Memory for records that span leases and must not be torn apart by other connections' records:
/// their bytes are copied here as they arrive and written when the record ends.
///
/// Every connection may have one record under way; `spare` more may wait for their write. The
/// memory is mapped at the start and faulted in where it is used, so the bound is an upper one.
@safe
package struct CarryPool: ~Copyable {
  /// What a connection has gathered of its current record.
  struct Gathered: BitwiseCopyable {
    var buffer = noIndex
    var count = 0
  }

  /// The most bytes of a record that are kept.
  let bound: Int
  private var buffers: SlotPool<UInt8>
  private var gathered: SlotPool<Gathered>
  private let memory: UnsafeMutableRawPointer?
  private let stride: Int
  private let spare: Int
  /// Buffers whose record is complete and being written.
  private(set) var inFlight = 0

  /// Records waiting for their write while their connections go on to the next: a few are enough
  /// to keep a disk busy. One is the least, the rest is taken where the budget has room.
  static let mostSpare = 16

  /// How many connections a budget is for. A sixteenth of it, up to ``mostSpare`` buffers, is kept
  /// spare: with one alone nearly every write of what was gathered would be waited for.
  package static func mostConnections(bound: Int, budget: Int) -> Int {
    let fit = budget / ((bound + 4095) & ~4095)
    return max(1, fit - min(mostSpare, max(1, fit / 16)))
  }

  /// How many buffers of a bound fit into a budget; nil when there are fewer than connections
  /// need: one each, and a spare one.
  static func count(maxConnections: Int, stride: Int, budget: Int) -> Int? {
    let fit = budget / stride
    return fit > maxConnections ? min(fit, maxConnections + mostSpare) : nil
  }

  /// A pool of nothing, where no record spans leases.
  init() {
    bound = 0
    stride = 0
    spare = 0
    buffers = SlotPool(capacity: 1, repeating: 0)
    gathered = SlotPool(capacity: 1, repeating: Gathered())
    unsafe memory = nil
  }

  /// Throws when the worst case exceeds `budget` or the address space has no room for it.
  init(maxConnections: Int, bound: Int, budget: Int) throws(SinkError) {
    let remedy =
      "lower --max-connections or the parser's bound, raise carry=SIZE, or use layout=each"
    let (padded, overflow) = bound.addingReportingOverflow(4095)
    let stride = padded & ~4095
    guard bound > 0, !overflow,
      let count = CarryPool.count(maxConnections: maxConnections, stride: stride, budget: budget)
    else {
      throw SinkError(
        .usage,
        "\(maxConnections) connections with records of up to \(bound) bytes may need more than "
          + "the \(budget) bytes allowed for records that span buffers", remedy: remedy)
    }
    let bytes = count * stride
    // PROT_READ | PROT_WRITE; private, anonymous and without reserved swap: untouched pages cost
    // nothing.
    let address = unsafe mmap(
      nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let address = unsafe address, unsafe address != MAP_FAILED else {
      throw SinkError(
        .failed, "no memory for records that span buffers (\(bytes) bytes)", remedy: remedy)
    }
    self.bound = bound
    self.stride = stride
    spare = count - maxConnections
    buffers = SlotPool(capacity: count, repeating: 0)
    gathered = SlotPool(capacity: maxConnections, repeating: Gathered())
    unsafe memory = address
  }

  deinit {
    guard let memory = unsafe memory else { return }
    unsafe munmap(memory, stride * buffers.capacity)
  }

  private func address(of buffer: UInt32) -> UnsafeMutableRawPointer {
    // `buffer` came from the pool, so it is below its capacity, which the mapping was sized for.
    unsafe memory! + Int(buffer) * stride
  }

  /// Copies bytes of the current record of `slot`; false when the record exceeds the bound.
  mutating func append(slot: UInt32, from: UnsafeRawPointer, count: Int) -> Bool {
    var state = gathered[slot]
    guard count <= bound - state.count else { return false }
    if state.buffer == noIndex {
      guard let buffer = buffers.take() else {
        // Every connection has at most one buffer and at most `spare` are in flight.
        invariant(false, "there is a carry buffer for every connection")
        return false
      }
      state.buffer = buffer
    }
    unsafe (address(of: state.buffer) + state.count).copyMemory(from: from, byteCount: count)
    state.count += count
    gathered[slot] = state
    return true
  }

  /// The record of `slot` gathered so far, which is then the caller's to ``give(_:)`` back.
  mutating func take(slot: UInt32) -> (buffer: UInt32, bytes: UnsafeRawBufferPointer)? {
    let state = gathered[slot]
    guard state.buffer != noIndex else { return nil }
    gathered[slot] = Gathered()
    return unsafe (
      state.buffer, UnsafeRawBufferPointer(start: address(of: state.buffer), count: state.count)
    )
  }

  /// Bytes gathered for `slot`.
  func count(slot: UInt32) -> Int { gathered[slot].count }

  /// Goes on in a buffer that was taken: `count` bytes at `from` in it become its first, and are
  /// what is gathered.
  mutating func resume(
    slot: UInt32, in buffer: UInt32, from: UnsafeMutableRawPointer, count: Int
  ) {
    invariant(gathered[slot].buffer == noIndex, "a connection gathers in one buffer")
    unsafe memmove(address(of: buffer), from, count)
    gathered[slot] = Gathered(buffer: buffer, count: count)
  }

  /// Whether a complete record may wait for its write; otherwise it is written at once.
  var mayWait: Bool { inFlight < spare }
  mutating func waits() { inFlight += 1 }
  mutating func written(_ buffer: UInt32) {
    inFlight -= 1
    buffers.give(buffer)
  }
  mutating func give(_ buffer: UInt32) { buffers.give(buffer) }

  /// Forgets the unfinished record of a connection; returns its bytes.
  mutating func drop(slot: UInt32) -> Int {
    guard bound > 0, let (buffer, bytes) = unsafe take(slot: slot) else { return 0 }
    buffers.give(buffer)
    return bytes.count
  }
}

/// A record that exceeds the bound its parser promised.
func tooLong(_ bound: Int, serial: UInt64) -> Fault {
  var fault = Fault(
    .recordTooLong, record: 0, offset: 0, expected: UInt64(bound), found: UInt64(bound) + 1)
  fault.connection = serial
  return fault
}
