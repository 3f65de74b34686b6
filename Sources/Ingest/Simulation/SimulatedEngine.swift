import Glibc
import RingCore
import Stages

/// What a kernel and an engine do, in memory and by a seed.
@safe
struct SimulatedEngine: ~Copyable {
  private let simulation: Simulation
  private let streams: [SimulatedStream]
  private let layout: AreaLayout
  private let memory: UnsafeMutableRawPointer
  private var random: SplitMix64
  private var batch: Batch
  private(set) var ledger: Ledger
  /// Bytes of each stream that were delivered; nil before its connection and after its end.
  private var delivered: [Int?]
  private var isOver: [Bool]
  private var freeBuffers: [UInt32]
  /// The buffer that is being filled, and up to where.
  private var current: (buffer: UInt32, used: Int)?
  /// Of the claims that are out, by offset.
  private var lengths: [UInt64: Int] = [:]
  private var batchNumber: UInt64 = 0
  private var faults: [Fault] = []
  private(set) var problems: [String] = []

  /// What a returned byte becomes, so that nobody relies on it.
  private static let poison: UInt8 = 0xdb
  /// Batches without progress after which a stage is stuck on its leases.
  private static let patience = 1000

  init(_ simulation: Simulation, _ streams: [SimulatedStream]) {
    guard
      let layout = AreaLayout(
        bufferSize: simulation.bufferSize, bufferCount: simulation.bufferCount)
    else {
      fatalError("a simulation's buffers are a power of two of bytes, at least 4096")
    }
    self.simulation = simulation
    self.streams = streams
    self.layout = layout
    unsafe memory = UnsafeMutableRawPointer.allocate(byteCount: layout.byteCount, alignment: 4096)
    unsafe memory.initializeMemory(
      as: UInt8.self, repeating: SimulatedEngine.poison, count: layout.byteCount)
    random = SplitMix64(seed: simulation.seed)
    batch = unsafe Batch(
      area: AreaMemory(unsafeBase: memory, layout: layout), submissions: nil,
      holdLimit: simulation.holdLimit,
      returnLimit: simulation.holdLimit + simulation.longestBatch, refusalLimit: streams.count)
    ledger = Ledger(layout: layout)
    delivered = Array(repeating: nil, count: streams.count)
    isOver = Array(repeating: false, count: streams.count)
    freeBuffers = Array(0..<layout.bufferCount)
    for buffer in freeBuffers { ledger.posted(buffer) }
  }

  deinit { unsafe memory.deallocate() }

  mutating func run<S: Stage & ~Copyable>(_ stage: inout S) {
    var idle = 0
    while isOver.contains(false) || stage.pending > 0 {
      batchNumber += 1
      batch.now = batchNumber * 1000
      let before = (ledger.outstanding, progress)
      if isOver.contains(false) {
        for _ in 0..<Int.random(in: 1...simulation.longestBatch, using: &random) { step(&stage) }
      }
      stage.endBatch(in: &batch)
      takeBack()
      closeRefused(&stage)
      batch.drainFaults { faults.append($0) }
      idle = before == (ledger.outstanding, progress) ? idle + 1 : 0
      // Another thread may get no CPU for a while: ten seconds in all.
      if idle > 0 && simulation.ringCapacity > 0 { usleep(idle < 100 ? 20 : 11_000) }
      if idle > SimulatedEngine.patience {
        problems.append(
          "nothing moves any more: stages hold \(ledger.outstanding) leases, "
            + "\(freeBuffers.count) of \(layout.bufferCount) buffers are free")
        return
      }
    }
  }

  var area: AreaMemory { batch.area }

  /// Bytes that the stage was given.
  var received: UInt64 { UInt64(delivered.reduce(0) { $0 + ($1 ?? 0) }) }

  mutating func takeFaults() -> [Fault] {
    defer { faults = [] }
    return faults
  }

  private var progress: Int {
    delivered.reduce(0) { $0 + ($1 ?? 0) } + isOver.count(where: { $0 })
  }

  /// One completion of a connection that is not over.
  private mutating func step<S: Stage & ~Copyable>(_ stage: inout S) {
    let index = Int.random(in: isOver.indices, using: &random)
    guard !isOver[index] else { return }
    let connection = Connection(
      slot: UInt32(index), serial: UInt64(index) + 1, peer: Endpoint())
    guard let done = delivered[index] else {
      delivered[index] = 0
      stage.opened(connection, in: &batch)
      if batch.refused { close(connection, .refused, &stage) }
      return
    }
    let left = streams[index].bytes.count - done
    guard left > 0 else {
      close(connection, streams[index].end, &stage)
      return
    }
    guard let offset = place() else { return }
    let room = Int(layout.bufferSize) - (current?.used ?? 0)
    let length = min(left, random.logUniform(upTo: min(simulation.longestLease, room)))
    fill(offset, streams[index].bytes[done..<done + length])
    delivered[index] = done + length
    lengths[offset] = length
    ledger.leased(
      offset: offset, length: UInt32(length), connection: connection.slot, batch: batchNumber)
    let verdict = stage.take(
      Lease(offset: offset, length: UInt32(length), connection: connection.slot), in: &batch)
    if let released = verdict.take() { giveBack(released) }
    if batch.refused { close(connection, .refused, &stage) }
  }

  /// Closes connections that another thread refused.
  private mutating func closeRefused<S: Stage & ~Copyable>(_ stage: inout S) {
    while let slot = batch.takeRefusal() {
      if isOver[Int(slot)] { continue }
      close(
        Connection(slot: slot, serial: UInt64(slot) + 1, peer: Endpoint()), .refused, &stage)
    }
  }

  private mutating func close<S: Stage & ~Copyable>(
    _ connection: Connection, _ end: StreamEnd, _ stage: inout S
  ) {
    isOver[Int(connection.slot)] = true
    stage.closed(connection, end, in: &batch)
    batch.refused = false
  }

  /// Where the next bytes go: behind the last ones, or into a free buffer; nil where there is none.
  private mutating func place() -> UInt64? {
    if let (buffer, used) = current {
      // Bytes lie at multiples of 64, as a NIC's do; sometimes the rest of a buffer is left.
      let next = (used + 63) & ~63
      if next < Int(layout.bufferSize), Int.random(in: 0..<8, using: &random) > 0 {
        current = (buffer, next)
        return layout.offset(of: buffer) + UInt64(next)
      }
      ledger.retired(buffer)
      current = nil
      release(buffer)
    }
    guard !freeBuffers.isEmpty else { return nil }
    let buffer = freeBuffers.remove(at: Int.random(in: 0..<freeBuffers.count, using: &random))
    current = (buffer, 0)
    return layout.offset(of: buffer)
  }

  private mutating func fill(_ offset: UInt64, _ bytes: ArraySlice<UInt8>) {
    unsafe bytes.withUnsafeBytes { source in
      // `place` left room for them in the buffer.
      unsafe UnsafeMutableRawBufferPointer(start: memory + Int(offset), count: source.count)
        .copyMemory(from: source)
    }
    if let (buffer, used) = current { current = (buffer, used + bytes.count) }
  }

  private mutating func takeBack() {
    var released: [UInt64] = []
    batch.takeReturns { released.append($0) }
    for offset in released { giveBack(offset) }
  }

  private mutating func giveBack(_ offset: UInt64) {
    ledger.returned(offset)  // ends the process where it was not out
    unsafe (memory + Int(offset)).initializeMemory(
      as: UInt8.self, repeating: SimulatedEngine.poison,
      count: lengths.removeValue(forKey: offset) ?? 0)
    let buffer = layout.buffer(at: offset)
    if buffer != current?.buffer { release(buffer) }
  }

  /// Posts a buffer again once no claim is out on it.
  private mutating func release(_ buffer: UInt32) {
    guard ledger.place(of: buffer) == .free else { return }
    ledger.posted(buffer)
    freeBuffers.append(buffer)
  }
}

/// The same seed gives the same numbers on every machine.
struct SplitMix64: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var word = state
    word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
    word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
    return word ^ (word >> 31)
  }

  /// Between 1 and `limit`, each order of magnitude as likely as the other.
  mutating func logUniform(upTo limit: Int) -> Int {
    let bits = Int.random(in: 0...(Int.bitWidth - limit.leadingZeroBitCount - 1), using: &self)
    return min(Int.random(in: (1 << bits)...(2 << bits - 1), using: &self), limit)
  }
}
