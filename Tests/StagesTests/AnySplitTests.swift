import IngestTestSupport
import RingCore
import Stages
import Testing
import Wire

/// Puts records together again and holds every few leases beyond their batch, to give them back in
/// another order.
@safe
private struct HoldingSink: Sink, ~Copyable {
  static let places = 16
  var records: [[[UInt8]]]
  var open: [[UInt8]]
  /// Leases held at the moment.
  var holding = 0
  let held: UnsafeMutablePointer<Held?>
  var generator: SeededGenerator

  init(connections: Int, seed: UInt64) {
    records = Array(repeating: [], count: connections)
    open = Array(repeating: [], count: connections)
    unsafe held = UnsafeMutablePointer<Held?>.allocate(capacity: Self.places)
    for place in 0..<Self.places { unsafe (held + place).initialize(to: nil) }
    generator = SeededGenerator(seed: seed)
  }

  deinit {
    unsafe held.deinitialize(count: Self.places)
    unsafe held.deallocate()
  }

  mutating func take(
    _ piece: Piece, of lease: borrowing Lease, at start: UInt32, in batch: inout Batch
  ) {
    let slot = Int(lease.connection)
    let first = Int(start + piece.lead)
    open[slot] += batch.area.withBytes(of: lease) { bytes in
      unsafe bytes.withUnsafeBytes { unsafe Array($0[first..<first + Int(piece.payload)]) }
    }
    if piece.last { close(slot) }
  }

  mutating func close(_ slot: Int) {
    records[slot].append(open[slot])
    open[slot] = []
  }

  mutating func finish(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    let place = Int.random(in: 0..<Self.places, using: &generator)
    let empty = unsafe held[place] == nil
    guard empty, Int.random(in: 0..<4, using: &generator) == 0 else { return lease.done() }
    holding += 1
    return unsafe lease.keep(into: &held[place])
  }

  /// Gives held leases back: each with a chance of one in two, or all of them.
  mutating func release(all: Bool, in batch: inout Batch) {
    for place in 0..<Self.places where all || Bool.random(using: &generator) {
      if let claim = unsafe held[place].take() {
        holding -= 1
        batch.giveBack(claim)
      }
    }
  }

  mutating func endBatch(in batch: inout Batch) { release(all: false, in: &batch) }
  mutating func endRecord(of connection: Connection, in batch: inout Batch) {
    close(Int(connection.slot))
  }
  mutating func opened(_ connection: Connection, in batch: inout Batch) {}
  mutating func closed(_ connection: Connection, _ end: StreamEnd, in batch: inout Batch) {}
  mutating func completed(_ index: UInt32, result: Int32, in batch: inout Batch) {}
  var pending: Int { holding }
  var readsPayload: Bool { true }
}

/// The records of a stream, and its bytes.
private struct Sample {
  var records: [[UInt8]] = []
  var bytes: [UInt8] = []

  /// Wire records: sizes log-uniform from 1 byte to two buffers.
  static func wire(count: Int, _ generator: inout SeededGenerator) -> Sample {
    var sample = Sample()
    for sequence in 0..<count {
      let payload = generator.bytes(generator.logUniform(upTo: 8192))
      var header = [UInt8](repeating: 0, count: WireHeader.size)
      let digest = unsafe Digest.of(payload.span.bytes, .crc32c)
      var span = header.mutableSpan
      var raw = unsafe span.mutableBytes
      WireHeader(
        kind: .crc32c, flags: [], length: UInt32(payload.count), sequence: UInt64(sequence),
        digest: digest
      ).encode(into: &raw)
      sample.records.append(payload)
      sample.bytes += header + payload
    }
    return sample
  }

  static func prefixed(count: Int, bytes: Int, _ generator: inout SeededGenerator) -> Sample {
    var sample = Sample()
    for _ in 0..<count {
      let payload = generator.bytes(generator.logUniform(upTo: bytes == 1 ? 255 : 8192))
      for place in (0..<bytes).reversed() {
        sample.bytes.append(UInt8(truncatingIfNeeded: payload.count >> (8 * place)))
      }
      sample.records.append(payload)
      sample.bytes += payload
    }
    return sample
  }
}

private func run<S: LeaseSource & ~Copyable, F: Framer, C: Checksum & ~Copyable>(
  _ source: inout S, _ framer: F, _ checksum: consuming C, _ samples: [Sample], seed: UInt64
) throws {
  var generator = SeededGenerator(seed: seed)
  let connections = samples.count
  var batch = Batch(area: source.area, submissions: nil, holdLimit: HoldingSink.places)
  var chain = RecordChain(
    framer: framer, checksum: checksum,
    sink: HoldingSink(connections: connections, seed: seed), maxConnections: connections)
  for slot in 0..<connections {
    chain.opened(
      Connection(slot: UInt32(slot), serial: UInt64(slot) + 1, peer: Endpoint()), in: &batch)
  }
  var sent = Array(repeating: 0, count: connections)
  let total = samples.reduce(0) { $0 + $1.bytes.count }
  var rounds = 0
  while sent.reduce(0, +) < total {
    rounds += 1
    try #require(rounds < 200_000, "no buffer came back any more")
    for _ in 0..<Int.random(in: 1...12, using: &generator) {
      let slot = Int.random(in: 0..<connections, using: &generator)
      let left = samples[slot].bytes.count - sent[slot]
      guard left > 0 else { continue }
      let size = min(generator.logUniform(upTo: 20_000), left)
      let taken = source.deliver(
        samples[slot].bytes[sent[slot]..<sent[slot] + size], connection: UInt32(slot))
      guard taken > 0 else { break }
      sent[slot] += taken
    }
    source.runBatch(&chain, &batch)
    chain.endBatch(in: &batch)
    source.giveBack(&batch)
    batch.now += 1
  }
  for slot in 0..<connections {
    chain.closed(
      Connection(slot: UInt32(slot), serial: UInt64(slot) + 1, peer: Endpoint()), .finished,
      in: &batch)
  }
  chain.rest.sink.release(all: true, in: &batch)
  source.giveBack(&batch)
  var faults: [Fault] = []
  batch.drainFaults { faults.append($0) }
  #expect(faults == [])
  #expect(source.audit() == [])
  for slot in 0..<connections {
    #expect(chain.rest.sink.records[slot].count == samples[slot].records.count)
    #expect(chain.rest.sink.records[slot] == samples[slot].records)
  }
}

@Suite struct AnySplitTests {
  static let rings: [UInt32] = [8, 16, 64, 256]

  @Test(arguments: FakeBufferRing.Behaviour.allCases, rings)
  func providedBuffers(behaviour: FakeBufferRing.Behaviour, ring: UInt32) throws {
    // Small areas for small rings, so that buffers run out often.
    let layout = try #require(AreaLayout(bufferSize: 4096, bufferCount: Int(ring) / 4 + 1))
    var generator = SeededGenerator(seed: UInt64(ring))
    let wire = (0..<3).map { _ in Sample.wire(count: 40, &generator) }
    var source = ProvidedSource(layout, completions: ring, behaviour)
    try run(
      &source, WireFramer(), VerifyChecksum(.crc32c, maxConnections: 3), wire,
      seed: UInt64(ring))
    for bytes in [1, 2, 4, 8] {
      let prefixed = (0..<3).map { _ in
        Sample.prefixed(count: 40, bytes: bytes, &generator)
      }
      try run(
        &source, LengthFramer(bytes: bytes), NoChecksum(), prefixed, seed: UInt64(bytes))
    }
  }

  @Test(arguments: rings, [1, 2, 3] as [UInt64])
  func zeroCopyQueue(ring: UInt32, seed: UInt64) throws {
    // Every held lease may lie in a chunk of its own.
    let layout = try #require(
      AreaLayout(bufferSize: 4096, bufferCount: HoldingSink.places + 2))
    var generator = SeededGenerator(seed: seed << 32 | UInt64(ring))
    let wire = (0..<3).map { _ in Sample.wire(count: 40, &generator) }
    var source = ZeroCopySource(layout, completions: ring)
    try run(
      &source, WireFramer(), VerifyChecksum(.crc32c, maxConnections: 3), wire, seed: seed)
    let prefixed = (0..<3).map { _ in Sample.prefixed(count: 40, bytes: 4, &generator) }
    try run(&source, LengthFramer(), NoChecksum(), prefixed, seed: seed)
  }
}
