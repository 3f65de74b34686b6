import CIngestKernel
import Glibc
public import RingCore

/// Sends each connection on to another host over a connection of its own, straight out of the area.
///
/// Leases are held until their bytes are sent and, with zero-copy sends, until the kernel's
/// notification says that nobody reads them any more. Each link has one request under way at a
/// time: connect, send, wait for room, wait for acknowledgement; so bytes keep their order. Sends
/// never wait in the kernel: what has no room waits for it with a poll.
///
/// Where the receiver is slow, leases stay held, the area runs short, and TCP holds the sender
/// back. Where small leases use up the places for held ones first, the thread sends by itself and
/// waits.
///
/// The peer's FIN is passed on after the last byte. Any other end (a reset, a refusal, a stop) is
/// passed on as a reset, once the receiving host has acknowledged what came before it. A link that
/// fails refuses its connection with a ``Fault/Kind/sink`` whose `offset` is the number of
/// acknowledged bytes, and a ``SinkFailure`` says why and what to do.
///
/// With `full=spill` or `full=drop` no lease is held: what a connection's socket has no room for
/// goes to a file (``SpillBlocks``), connection by connection, and follows in order; see
/// ForwardSink+Overflow.swift.
///
/// Memory, fixed at the start: see ``ForwardSinkLimits``. Requests are IORING_OP_CONNECT,
/// IORING_OP_SEND_ZC and IORING_OP_SENDMSG_ZC (or IORING_OP_SEND and IORING_OP_SENDMSG),
/// IORING_OP_POLL_ADD and IORING_OP_TIMEOUT.
///
/// - Cost: per send one request and up to two completions.
@safe
public struct ForwardSink: Sink, ~Copyable {
  let options: ForwardSinkOptions
  let limits: ForwardSinkLimits
  let control: RunControl
  /// The address as connect(2) wants it, and the times between two looks at what is acknowledged.
  let address: UnsafeMutablePointer<sockaddr_storage>
  let addressLength: UInt32
  let family: Int32
  let times: UnsafeMutablePointer<__kernel_timespec>

  var slots: SlotPool<Slot>
  var links: SlotPool<Link>
  var runs: SlotPool<Run>
  var flights: SlotPool<Flight>
  var messages: SlotPool<UInt32>
  var held: HeldLeases
  let headers: UnsafeMutablePointer<msghdr>
  /// `limits.vectors` for each message, and as many for sends that go out at once.
  let vectors: UnsafeMutablePointer<iovec>

  /// Links that wait for a submission entry, oldest first, and requests of any kind under way.
  var readyHead = noIndex
  var readyTail = noIndex
  var requests = 0
  /// What waits aside; nil where the receiving thread or the area does.
  var spill: SpillBlocks?
  /// Vectors of the lease in hand that are to be sent at once, and a bit for each that begins a
  /// record.
  var vectorCount = 0
  var starts: UInt64 = 0
  /// False where the kernel has refused a zero-copy send as such.
  var zeroCopy: Bool

  /// The bytes of the lease in hand that are not queued yet, as a range of the area, and its place
  /// among the held.
  var runStart: UInt64 = 0
  var runLength: UInt32 = 0
  var hold = noIndex
  var refusalsWanted = false
  var list = FailureList()
  public internal(set) var counters = SinkCounters()

  /// What is known of a connection.
  struct Slot: BitwiseCopyable {
    var link = noIndex
    /// The connection's serial number; 0 while the slot is free.
    var serial: UInt64 = 0
    var refused = false
    /// A record has begun, and no byte of it was seen.
    var begins = false
  }

  /// Resolves the host and sizes the pools.
  ///
  /// - Parameters:
  ///   - maxConnections: slots are below this.
  ///   - holdLimit: leases that may be held at a time.
  ///   - control: tells of an abort while the thread waits for room.
  ///   - limits: nil takes ``ForwardSinkLimits/standard(maxConnections:holdLimit:)``.
  public init(
    _ options: ForwardSinkOptions, maxConnections: Int, holdLimit: Int, control: RunControl,
    limits: ForwardSinkLimits? = nil
  ) throws(SinkError) {
    var endpoint = try options.resolve()
    let limits =
      limits ?? .standard(maxConnections: maxConnections, holdLimit: holdLimit)
    spill = options.overflow.policy != .block ? try SpillBlocks(options.overflow) : nil
    self.options = options
    self.limits = limits
    self.control = control
    family = Int32(endpoint.family)
    unsafe address = .allocate(capacity: 1)
    addressLength = unsafe ik_sockaddr_of(&endpoint, address)
    unsafe times = .allocate(capacity: 2)
    unsafe times[0] = __kernel_timespec(tv_sec: 0, tv_nsec: 1_000_000)
    unsafe times[1] = __kernel_timespec(tv_sec: 0, tv_nsec: 50_000_000)
    slots = SlotPool(capacity: maxConnections, repeating: Slot())
    links = SlotPool(capacity: limits.links, repeating: Link())
    runs = SlotPool(capacity: limits.runs, repeating: Run())
    flights = SlotPool(capacity: limits.flights, repeating: Flight())
    messages = SlotPool(capacity: limits.messages, repeating: 0)
    held = HeldLeases(capacity: limits.leases)
    unsafe headers = .allocate(capacity: limits.messages)
    unsafe headers.initialize(repeating: msghdr(), count: limits.messages)
    unsafe vectors = .allocate(capacity: (limits.messages + 1) * limits.vectors)
    zeroCopy = options.method == .zeroCopy && ik_gathers_zerocopy() != 0
  }

  deinit {
    cutLinks()
    unsafe address.deallocate()
    unsafe times.deallocate()
    unsafe headers.deallocate()
    unsafe vectors.deallocate()
  }

  public var failures: [SinkFailure] { list.stored }
  public var pending: Int { requests + flights.busyCount }
  /// The kernel reads it through the process's addresses, which memory of a device does not take.
  public var readsPayload: Bool { true }
}

// MARK: - Sink

extension ForwardSink {
  public mutating func take(
    _ piece: Piece, of lease: borrowing Lease, at start: UInt32, in batch: inout Batch
  ) {
    if spill != nil { return gatherNow(piece, of: lease, at: start, in: &batch) }
    let all = options.bytes == .all
    let from = lease.offset &+ UInt64(all ? start : start &+ piece.lead)
    if runStart &+ UInt64(runLength) != from {
      queueRun(slot: lease.connection, in: &batch)
      runStart = from
    }
    runLength &+= all ? piece.count : piece.payload
  }

  public mutating func finish(_ lease: consuming Lease, in batch: inout Batch) -> Verdict {
    if spill != nil {
      passOn(slot: lease.connection, in: &batch)
      return lease.done()
    }
    queueRun(slot: lease.connection, in: &batch)
    guard hold != noIndex else { return lease.done() }
    let place = hold
    hold = noIndex
    // What was sent at once has no reader any more.
    guard held.isRead(place) else {
      held.cancel(place)
      return lease.done()
    }
    return held.keep(lease, at: place)
  }

  public mutating func opened(_ connection: Connection, in batch: inout Batch) {
    slots[connection.slot] = Slot(serial: connection.serial)
    let descriptor = batch.submissions == nil ? -ENOSYS : ik_tcp_open(family)
    guard descriptor >= 0, let index = links.take() else {
      if descriptor >= 0 { close(descriptor) }
      let code = descriptor < 0 ? -descriptor : ENOBUFS
      append(code, serial: connection.serial, connecting: true, acknowledged: 0)
      slots[connection.slot].refused = true
      return batch.refuse(fault(serial: connection.serial, errno: code))
    }
    slots[connection.slot].link = index
    links[index] = Link(descriptor: descriptor, connection: connection)
    want(.connect, index)
  }

  public mutating func closed(
    _ connection: Connection, _ end: StreamEnd, in batch: inout Batch
  ) {
    let slot = slots[connection.slot]
    slots[connection.slot] = Slot()
    guard slot.link != noIndex else { return }
    links[slot.link].attached = false
    links[slot.link].end = end == .finished ? .finished : .cut
    if links[slot.link].failure != 0, !slot.refused { report(slot.link, in: &batch) }
    advance(slot.link, in: &batch)
  }

  public mutating func endBatch(in batch: inout Batch) {
    submitReady(in: &batch)
    if refusalsWanted { refuseFailed(in: &batch) }
  }

  public mutating func completed(_ index: UInt32, result: Int32, in batch: inout Batch) {
    completed(index, result: result, flags: 0, in: &batch)
  }

  public mutating func completed(
    _ index: UInt32, result: Int32, flags: UInt32, in batch: inout Batch
  ) {
    guard index & Flight.mark != 0 else {
      return answered(index, result, flight: noIndex, in: &batch)
    }
    let flight = index & ~Flight.mark
    if flags & UInt32(IK_CQE_F_NOTIF) != 0 {
      notified(flight, usage: UInt32(bitPattern: result), in: &batch)
    } else {
      flights[flight].notified = flags & UInt32(IK_CQE_F_MORE) == 0
      answered(flights[flight].link, result, flight: flight, in: &batch)
    }
  }

  /// Ends what is still open: after an abort, of which the receivers learn by a reset.
  public mutating func stop() {
    for index in 0..<UInt32(links.capacity) where links[index].descriptor >= 0 { account(index) }
    cutLinks()
  }

  private func cutLinks() {
    for index in 0..<UInt32(links.capacity) where links[index].descriptor >= 0 {
      _ = ik_abort(links[index].descriptor)
      close(links[index].descriptor)
      links[index].descriptor = -1
    }
  }
}
