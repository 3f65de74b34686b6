#if NIO
  import CIngestKernel
  import Glibc
  import Ingest
  @_spi(CustomByteBufferAllocator) import NIOCore
  import RingCore
  import Stages
  import ZeroCopy

  /// Makes a `ByteBuffer` of every lease, without a copy, and hands a batch of them on at a time.
  @safe
  struct StreamStage: Stage, ~Copyable {
    private let returns: AreaReturns
    private let send: @Sendable ([IngestStream.Event]) -> Void
    /// Called when no more events will come; leases may still be out.
    private let finish: @Sendable () -> Void
    private var open = 0
    private var isFinished = false
    private let isAborted: @Sendable () -> Bool
    private let limit: Int
    private let quarter: Int
    private var out = 0
    private var gathered: [IngestStream.Event] = []
    private let serials: UnsafeMutablePointer<UInt64>

    init(
      _ context: StageContext, send: @escaping @Sendable ([IngestStream.Event]) -> Void,
      finish: @escaping @Sendable () -> Void
    ) {
      returns = AreaReturns(context.area, limit: context.holdLimit, waker: context.waker)
      self.send = send
      self.finish = finish
      let control = context.control
      isAborted = { control.current == EngineControl.Request.abort.rawValue }
      limit = context.holdLimit
      quarter = max(1, min(limit, Int(context.layout.bufferCount)) / 4)
      unsafe serials = UnsafeMutablePointer<UInt64>.allocate(capacity: context.maxConnections)
      unsafe serials.initialize(repeating: 0, count: context.maxConnections)
    }

    deinit { unsafe serials.deallocate() }

    /// What NIO does with the memory of a buffer: gives it back, and never resizes it in place.
    private static let allocator = unsafe ByteBufferAllocator(
      allocate: { unsafe malloc($0) },
      reallocate: { old, oldSize, newSize in
        // Growing takes ordinary memory and copies; the lease goes back.
        guard let new = unsafe malloc(newSize) else { return nil }
        if let old = unsafe old {
          unsafe memcpy(new, old, min(oldSize, newSize))
          unsafe StreamStage.free(old)
        }
        return unsafe new
      },
      deallocate: { unsafe StreamStage.free($0) }, copy: { unsafe memcpy($0, $1, $2) })

    @unsafe
    private static func free(_ memory: UnsafeMutableRawPointer) {
      if !AreaReturns.release(UInt(bitPattern: memory)) { unsafe Glibc.free(memory) }
    }

    mutating func take(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
      while out >= limit && !isAborted() {
        // A consumer that is slow: TCP's window closes while this thread waits for it.
        flush()
        if !takeBack(&batch) { usleep(100) }
      }
      // The lease lies inside the area, which stays mapped while leases are out.
      let bytes = unsafe UnsafeMutableRawBufferPointer(
        start: batch.area.address(of: lease.offset), count: Int(lease.length))
      let buffer = unsafe ByteBuffer(takingOwnershipOf: bytes, allocator: StreamStage.allocator)
      gathered.append(.bytes(buffer, connection: serial(lease.connection)))
      out += 1
      return lease.surrender()
    }

    private func serial(_ slot: UInt32) -> UInt64 {
      // The engine's slots are below maxConnections.
      unsafe serials[Int(slot)]
    }

    mutating func opened(_ connection: Connection, in batch: inout Batch) {
      unsafe serials[Int(connection.slot)] = connection.serial
      open += 1
      gathered.append(.opened(connection))
    }

    mutating func closed(_ connection: Connection, _ end: StreamEnd, in batch: inout Batch) {
      open -= 1
      gathered.append(.closed(end, connection: connection.serial))
    }

    mutating func endBatch(in batch: inout Batch) {
      flush()
      if batch.isStopping && open == 0 { end() }
      _ = takeBack(&batch)
      // As HandOver does: while few leases are out nobody need wake the engine for them.
      while out >= quarter || batch.isStopping && out > 0 {
        returns.bell.bell.prepare()
        guard takeBack(&batch) else { return }
        returns.bell.bell.stay()
      }
    }

    private mutating func flush() {
      guard !gathered.isEmpty else { return }
      send(gathered)
      gathered = []
    }

    private mutating func takeBack(_ batch: inout Batch) -> Bool {
      let count = returns.take { batch.release($0) }
      out -= count
      return count > 0
    }

    private mutating func end() {
      if !isFinished { finish() }
      isFinished = true
    }

    mutating func stop() {
      flush()
      end()
      if out == 0 { returns.forget() }
    }

    var pending: Int { out }
    var readsPayload: Bool { true }
  }
#endif
