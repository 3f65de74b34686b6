import CIngestKernel
import RingCore

/// Where a replayed kernel puts bytes: stretches of the area, and what the completion says of them.
@safe
struct ReplayPlace {
  var pieces: [UnsafeMutableRawBufferPointer]
  var flags: UInt32 = 0
  var offset: UInt64 = 0
}

/// The kernel's side of a provided-buffer ring, as io_uring/kbuf.c takes from it.
@safe
struct ReplayProvided {
  let entries: UnsafeMutablePointer<ik_buf>
  let count: UInt32
  let isIncremental: Bool
  let bundles: Bool
  private var head: UInt16 = 0

  init(
    _ entries: UnsafeMutablePointer<ik_buf>, count: UInt32, isIncremental: Bool, bundles: Bool
  ) {
    unsafe self.entries = entries
    self.count = count
    self.isIncremental = isIncremental
    self.bundles = bundles
  }

  private func entry(_ position: UInt16) -> UnsafeMutablePointer<ik_buf> {
    // The count is a power of two, so the index stays inside the ring.
    unsafe entries + Int(position & UInt16(truncatingIfNeeded: count - 1))
  }

  /// Buffers for so many bytes; nil where the ring has too few, or a receive may fill only one.
  mutating func place(_ bytes: UInt32) -> ReplayPlace? {
    // resv of entry 0 is the tail.
    let tail = unsafe ik_load_acquire_u16(&entries[0].resv)
    var room: UInt64 = 0
    var last = head
    while last != tail && room < UInt64(bytes) && (bundles || last == head) {
      room += UInt64(unsafe entry(last).pointee.len)
      last &+= 1
    }
    guard room >= UInt64(bytes) else { return nil }
    let first = unsafe entry(head).pointee.bid
    var place = unsafe ReplayPlace(pieces: [])
    place.flags = UInt32(IK_CQE_F_BUFFER) | UInt32(first) << UInt32(IK_CQE_BUFFER_SHIFT)
    var left = bytes
    while left > 0 {
      let buffer = unsafe entry(head)
      let taken = unsafe min(left, buffer.pointee.len)
      if let start = unsafe UnsafeMutableRawPointer(bitPattern: UInt(buffer.pointee.addr)) {
        unsafe place.pieces.append(
          UnsafeMutableRawBufferPointer(start: start, count: Int(taken)))
      }
      left -= taken
      if isIncremental {
        unsafe buffer.pointee.addr += UInt64(taken)
        unsafe buffer.pointee.len -= taken
        if unsafe buffer.pointee.len > 0 {
          place.flags |= UInt32(IK_CQE_F_BUF_MORE)
          break
        }
      }
      head &+= 1
    }
    return place
  }
}

/// The kernel's side of a refill ring and its area: who claims which bytes.
@safe
struct ReplayRefill {
  private let area: AreaMemory
  private let head: UnsafeMutablePointer<UInt32>
  private let tail: UnsafeMutablePointer<UInt32>
  private let entries: UnsafeMutablePointer<ik_zcrx_rqe>
  private let capacity: UInt32
  /// By buffer, the claims that are out: start and end in the area.
  private var claims: [[Range<UInt64>]]
  private var next = 0
  /// Completions that had to lie elsewhere than recorded.
  private(set) var moved = 0

  @unsafe
  init(
    area: AreaMemory, head: UnsafeMutablePointer<UInt32>, tail: UnsafeMutablePointer<UInt32>,
    entries: UnsafeMutablePointer<ik_zcrx_rqe>, capacity: UInt32
  ) {
    self.area = area
    unsafe (self.head, self.tail, self.entries) = (head, tail, entries)
    self.capacity = capacity
    claims = Array(repeating: [], count: Int(area.layout.bufferCount))
  }

  /// Takes back what was refilled. An entry for what is not out is ignored, as the kernel does.
  mutating func read() {
    var position = unsafe head.pointee
    let end = unsafe ik_load_acquire_u32(tail)
    while position != end {
      let offset = unsafe entries[Int(position & (capacity - 1))].off & AreaLayout.offsetMask
      let buffer = Int(area.layout.buffer(at: offset))
      if claims.indices.contains(buffer),
        let claim = claims[buffer].firstIndex(where: { $0.lowerBound == offset })
      {
        claims[buffer].remove(at: claim)
      }
      position &+= 1
    }
    unsafe ik_store_release_u32(head, position)
  }

  /// Room for bytes where they were recorded, else in a free buffer; nil where there is none.
  mutating func place(_ bytes: UInt32, at recorded: UInt64) -> ReplayPlace? {
    let size = UInt64(area.layout.bufferSize)
    let wanted = recorded & AreaLayout.offsetMask
    if isFree(wanted, bytes) { return claim(wanted, bytes, recorded) }
    let within = min(wanted % size, size - UInt64(bytes))
    for step in claims.indices {
      let buffer = (next + step) % claims.count
      guard claims[buffer].isEmpty else { continue }
      next = buffer + 1
      moved += 1
      let offset = area.layout.offset(of: UInt32(buffer)) + within
      return claim(offset, bytes, recorded & ~AreaLayout.offsetMask | offset)
    }
    return nil
  }

  private func isFree(_ offset: UInt64, _ bytes: UInt32) -> Bool {
    let layout = area.layout
    let end = offset + UInt64(bytes)
    guard end <= UInt64(layout.byteCount), layout.buffer(at: offset) == layout.buffer(at: end - 1)
    else { return false }
    return !claims[Int(layout.buffer(at: offset))].contains { $0.overlaps(offset..<end) }
  }

  private mutating func claim(_ offset: UInt64, _ bytes: UInt32, _ named: UInt64) -> ReplayPlace {
    claims[Int(area.layout.buffer(at: offset))].append(offset..<offset + UInt64(bytes))
    // `isFree` and `place` keep the range inside one buffer of the area.
    let start = unsafe area.address(of: offset)
    let piece = unsafe UnsafeMutableRawBufferPointer(start: start, count: Int(bytes))
    return unsafe ReplayPlace(pieces: [piece], flags: 0, offset: named)
  }
}
