import Glibc
import RingCore
import Stages

/// One buffer of memory that ends where nothing is mapped: a read behind a lease that is put at its
/// end faults.
@safe
final class GuardedArea: @unchecked Sendable {
  // Sendable: there is one thread.
  static let shared = GuardedArea()
  static let byteCount = 65_536
  let memory: AreaMemory

  private init() {
    let page = 4096
    let mapped = unsafe mmap(
      nil, GuardedArea.byteCount + page, PROT_READ | PROT_WRITE,
      MAP_PRIVATE | Int32(MAP_ANONYMOUS), -1, 0)
    guard let base = unsafe mapped, unsafe base != MAP_FAILED,
      unsafe mprotect(base + GuardedArea.byteCount, page, PROT_NONE) == 0,
      let layout = AreaLayout(bufferSize: GuardedArea.byteCount, bufferCount: 1)
    else { fatalError("no memory for an area") }
    memory = unsafe AreaMemory(unsafeBase: base, layout: layout)
  }

  /// A lease on these bytes, at the end; the one before is over. There are some.
  func lease(_ bytes: ArraySlice<UInt8>, connection: UInt32) -> Lease {
    require(!bytes.isEmpty && bytes.count <= GuardedArea.byteCount, "a lease of \(bytes.count)")
    let offset = UInt64(GuardedArea.byteCount - bytes.count)
    unsafe bytes.withUnsafeBytes { source in
      // `offset` leaves room for as many bytes.
      unsafe memory.address(of: offset).copyMemory(
        from: source.baseAddress.unsafelyUnwrapped, byteCount: source.count)
    }
    return Lease(offset: offset, length: UInt32(bytes.count), connection: connection)
  }
}

/// What a sink was given: records, put together again.
final class Trace {
  var payload: [UInt8] = []
  /// Where in `payload` records end.
  var ends: [Int] = []
  /// Of each connection.
  var inside = [false, false]
  /// All bytes, framing included.
  var bytes = 0
  var leases = 0
}

/// Checks pieces and puts them together.
struct TraceSink: Sink, ~Copyable {
  let trace: Trace

  mutating func take(
    _ piece: Piece, of lease: borrowing Lease, at start: UInt32, in batch: inout Batch
  ) {
    require(piece.count > 0, "an empty piece")
    require(
      UInt64(start) + UInt64(piece.lead) + UInt64(piece.payload) + UInt64(piece.trail)
        <= UInt64(lease.length), "a piece beyond its lease: \(piece) at \(start)")
    trace.bytes += Int(piece.count)
    let first = Int(start + piece.lead)
    batch.area.withBytes(of: lease) { span in
      unsafe span.extracting(first..<first + Int(piece.payload)).withUnsafeBytes {
        unsafe trace.payload.append(contentsOf: $0)
      }
    }
    let slot = Int(lease.connection)
    if piece.first {
      require(!trace.inside[slot], "a record begins within a record")
      trace.inside[slot] = true
    }
    if piece.last {
      require(trace.inside[slot], "a record ends that did not begin")
      endRecord(slot)
    }
  }

  private func endRecord(_ slot: Int) {
    trace.ends.append(trace.payload.count)
    trace.inside[slot] = false
  }

  mutating func finish(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    trace.leases += 1
    return lease.done()
  }
  mutating func endRecord(of connection: Connection, in batch: inout Batch) {
    require(trace.inside[Int(connection.slot)], "a record ends that did not begin")
    endRecord(Int(connection.slot))
  }
  mutating func opened(_ connection: Connection, in batch: inout Batch) {}
  mutating func closed(_ connection: Connection, _ end: StreamEnd, in batch: inout Batch) {}
  mutating func endBatch(in batch: inout Batch) {}
  mutating func completed(_ index: UInt32, result: Int32, in batch: inout Batch) {}
  var pending: Int { 0 }
  var readsPayload: Bool { true }
}

/// What came of a stream, as far as it may not depend on how the stream was cut.
struct Outcome: Equatable {
  /// Of whole records; of all bytes where there are none.
  var payload: [UInt8]
  var ends: [Int]
  var faults: [Fault]
  var refused: Bool
  var records: UInt64
  var verified: UInt64
}

/// Sends a stream, cut into leases of these lengths, through a chain.
func drive<F: Framer, C: Checksum & ~Copyable>(
  _ framer: F, _ checksum: consuming C, _ stream: ArraySlice<UInt8>, _ lengths: [Int],
  _ end: StreamEnd
) -> Outcome {
  let trace = Trace()
  let area = GuardedArea.shared
  var batch = Batch(area: area.memory, submissions: nil, holdLimit: 1)
  var chain = RecordChain(
    framer: framer, checksum: checksum, sink: TraceSink(trace: trace), maxConnections: 1)
  let connection = Connection(slot: 0, serial: 7, peer: Endpoint())
  chain.opened(connection, in: &batch)
  var rest = stream
  for length in lengths where !batch.refused {
    let lease = area.lease(rest.prefix(length), connection: 0)
    let offset = lease.offset
    require(chain.take(lease, in: &batch).take() == offset, "a lease that did not come back")
    rest = rest.dropFirst(length)
    chain.endBatch(in: &batch)
  }
  let refused = batch.refused
  chain.closed(connection, refused ? .refused : end, in: &batch)
  let counts = chain.counts(slot: 0)
  require(refused || trace.bytes == stream.count, "\(trace.bytes) bytes of \(stream.count)")
  require(Int(counts.bytes) == trace.bytes, "counted \(counts)")
  require(Int(counts.payloadBytes) == trace.payload.count, "counted \(counts)")
  require(Int(counts.records) == trace.ends.count, "counted \(counts)")
  var faults: [Fault] = []
  batch.drainFaults { faults.append($0) }
  // Told where a record lies in one lease: the byte that differs.
  for index in faults.indices where faults[index].kind == .checksum { faults[index].offset = 0 }
  let whole = refused || !trace.ends.isEmpty || trace.inside[0]
  return Outcome(
    payload: whole ? Array(trace.payload.prefix(trace.ends.last ?? 0)) : trace.payload,
    ends: trace.ends, faults: faults, refused: refused, records: counts.records,
    verified: chain.rest.checksum.verified)
}

/// How an input cuts a stream of `count` bytes, or the rest of itself: byte by byte, or at places
/// by a seed.
func cuts(_ input: inout Input, of count: Int? = nil) -> [Int] {
  let longest = 1 + Int(input.byte() & 0x3f)
  var state = UInt32(input.short()) | 1
  var lengths: [Int] = []
  var left = count ?? input.rest.count
  while left > 0 {
    state = state &* 1_664_525 &+ 1_013_904_223
    let length = min(1 + Int(state >> 16) % longest, left)
    lengths.append(length)
    left -= length
  }
  return lengths
}

func streamEnd(_ input: inout Input) -> StreamEnd {
  switch input.byte() & 7 {
  case 0: .failed(ECONNRESET)
  case 1: .stopped
  case 2: .refused
  case 3: .misplaced
  default: .finished
  }
}

/// Drives a stream whole and cut, which must come to the same.
@discardableResult
func compare<F: Framer, C: Checksum & ~Copyable>(
  _ framer: F, _ checksum: () -> C, _ stream: ArraySlice<UInt8>, _ lengths: [Int], _ end: StreamEnd
) -> Outcome {
  let whole = drive(framer, checksum(), stream, stream.isEmpty ? [] : [stream.count], end)
  let cut = drive(framer, checksum(), stream, lengths, end)
  require(whole == cut, "\(framer): whole \(whole), cut into \(lengths) \(cut)")
  return whole
}
