import CIngestKernel
import Glibc
import RingCore
package import ZeroCopy

/// An io_uring with zero-copy receive, in memory and by a seed: the engine on it is the real one.
///
/// Connections are real sockets (AF_UNIX), so that what an engine does to them (shut down, count
/// unread bytes, close) is seen here; their payload is placed or copied as the kernel would, in
/// packets of random size. Completion queues run full, chunks run out, packets stay unsplit, the
/// refill ring is read late: see ``Script``.
@safe
package final class SimulatedKernel {
  /// What is to happen.
  package struct Script: Sendable {
    package var seed: UInt64 = 0
    /// Entries of the completion queue, rounded up to a power of two.
    package var completions: UInt32 = 8
    /// The bytes of each connection.
    package var streams: [[UInt8]] = []
    package var longestPacket = 4096
    /// One packet in so many is left unsplit and copied; 0: none, 1: all, as without a device.
    package var unsplitOneIn = 0
    /// Whether a receive that some bytes came of ends with the errno of what stopped it
    /// (7.2.10), or goes on with the next packet.
    package var endsPartialPasses = true
    /// Whether what is unsplit can be copied into the area, as it cannot into a dmabuf.
    package var takesCopies = true
    /// Whether the NIC's ring has every chunk that no packet lies in, so that none is ever there to
    /// copy into, and unsplit packets have fragments of another queue beside, so that recv(2) gives
    /// nothing of them either.
    package var ringHasAll = false

    package init() {}
  }

  struct Packet {
    /// Nil: in the linear part.
    var chunk: UInt32?
    var start = 0
    var bytes: ArraySlice<UInt8>
  }

  struct Socket {
    /// The engine's end and the other one; negative before and after.
    var ours: Int32 = -1
    var theirs: Int32 = -1
    var sent = 0
    var queue: [Packet] = []
    var isShut = false
    var receive: UInt64?
  }

  let script: Script
  var random: SeededGenerator
  var sockets: [Socket]
  var chunks: SimulatedChunks?
  var clock: UInt64 = 1_000_000_000
  private var acceptTag: UInt64?
  private var accepted = 0
  /// Completions that found no place; while there are any no data is posted.
  var overflow: [(tag: UInt64, result: Int32, flags: UInt32)] = []
  let completions: FakeCompletionQueue
  private let ring = UnsafeMutablePointer<io_uring>.allocate(capacity: 1)
  private let words = UnsafeMutablePointer<UInt32>.allocate(capacity: 4)
  private let requests: UnsafeMutablePointer<io_uring_sqe>
  private let requestCapacity: UInt32 = 16
  private var open: (chunk: UInt32, used: Int)?
  private var eventIsArmed = true
  /// Entries into the kernel; a run that needs too many is stuck.
  package private(set) var enters = 0
  package internal(set) var counts = Counts()
  /// Called when the run is stuck, to end it.
  package var giveUp: () -> Void = {}

  /// How often it came to what.
  package struct Counts: Sendable, Equatable {
    package var full = 0
    package var noMemory = 0
    package var dropped = 0
    package var unsplit = 0
    package var flushes = 0
    package var events = 0
    package var salvaged = 0

    package init() {}
  }

  package init(_ script: Script) {
    self.script = script
    random = SeededGenerator(seed: script.seed)
    sockets = Array(repeating: Socket(), count: script.streams.count)
    completions = FakeCompletionQueue(capacity: script.completions, start: UInt32.max - 5)
    unsafe requests = .allocate(capacity: Int(requestCapacity))
    unsafe requests.initialize(repeating: io_uring_sqe(), count: Int(requestCapacity))
    unsafe words.initialize(repeating: 0, count: 4)
    unsafe words[2] = requestCapacity - 1
    unsafe words[3] = requestCapacity
    unsafe ring.initialize(to: io_uring())
    unsafe ring.pointee.sq.khead = words
    unsafe ring.pointee.sq.ktail = words + 1
    unsafe ring.pointee.sq.kring_mask = words + 2
    unsafe ring.pointee.sq.kring_entries = words + 3
    unsafe ring.pointee.sq.sqes = requests
    unsafe completions.describe(ring)
  }

  deinit {
    for socket in sockets where socket.theirs >= 0 { close(socket.theirs) }
    for socket in sockets.dropFirst(accepted) where socket.ours >= 0 { close(socket.ours) }
    unsafe requests.deallocate()
    unsafe words.deallocate()
    unsafe ring.deallocate()
  }

  /// The ring; this object must outlive it.
  package func makeRing() -> Ring {
    let context = unsafe Unmanaged.passUnretained(self).toOpaque()
    return unsafe Ring(
      unsafeSimulated: ring,
      calls: SimulatedKernelCalls(
        context: context,
        enter: { unsafe SimulatedKernel.of($0).enter(wait: $1, timeout: $2) },
        register: { unsafe SimulatedKernel.of($0).bind(&$1.pointee) },
        flush: { unsafe SimulatedKernel.of($0).flush() },
        armEvent: { context, _ in unsafe SimulatedKernel.of(context).armEvent() },
        receive: { unsafe SimulatedKernel.of($0).receiveNow($1, into: $2, count: $3) },
        now: { unsafe SimulatedKernel.of($0).clock }))
  }

  @unsafe
  private static func of(_ context: UnsafeMutableRawPointer) -> SimulatedKernel {
    unsafe Unmanaged<SimulatedKernel>.fromOpaque(context).takeUnretainedValue()
  }

  /// What the engine did wrong, as the kernel sees it.
  package func audit() -> [String] {
    if let chunk = open?.chunk {
      open = nil
      chunks?.packet(in: chunk, -1)
    }
    let unread = sockets.flatMap { $0.queue }.compactMap { $0.chunk }
    for chunk in unread { chunks?.packet(in: chunk, -1) }
    var said = chunks?.audit() ?? ["nothing was bound"]
    if said.isEmpty, let chunks, chunks.freeCount != chunks.count {
      said.append("\(chunks.count - chunks.freeCount) chunks are nowhere")
    }
    return said
  }

  // MARK: Calls

  private func bind(_ binding: inout ik_zcrx_binding) -> Int32 {
    chunks = SimulatedChunks(
      &binding, takesCopies: script.takesCopies && !script.ringHasAll)
    return 0
  }

  private func flush() -> Int32 {
    counts.flushes += 1
    chunks?.readRefill()
    return 0
  }

  private func armEvent() -> Int32 {
    eventIsArmed = true
    return 0
  }

  private func enter(wait: UInt32, timeout: UInt64) -> Int32 {
    enters += 1
    clock += UInt64.random(in: 1000...200_000, using: &random)
    takeRequests()
    post()
    for _ in 0..<Int.random(in: 1...24, using: &random) { step() }
    // Nothing came: time passes.
    if completions.isEmpty && wait > 0 { clock += min(timeout, 5_000_000) }
    if enters > 200_000 { giveUp() }
    return 0
  }

  private func takeRequests() {
    var head = unsafe words[0]
    let tail = unsafe ring.pointee.sq.sqe_tail
    while head != tail {
      let request = unsafe requests[Int(head & (requestCapacity - 1))]
      head &+= 1
      switch UInt32(request.opcode) {
      case UInt32(IK_OP_RECV_ZC):
        guard let index = sockets.firstIndex(where: { $0.ours == request.fd }) else {
          overflow.append((request.user_data, -EBADF, 0))
          continue
        }
        sockets[index].receive = request.user_data
      case UInt32(IORING_OP_ACCEPT.rawValue): acceptTag = request.user_data
      // The eventfd that wakes the engine: nobody outside has anything to say.
      default: break
      }
    }
    unsafe ik_store_release_u32(words, head)
  }

  /// What waits for a place goes first.
  private func post() {
    while let first = overflow.first,
      completions.post(tag: first.tag, result: first.result, flags: first.flags)
    { overflow.removeFirst() }
  }

  /// Posts a completion that cannot be kept back.
  func mustPost(_ tag: UInt64, _ result: Int32, _ flags: UInt32 = 0) {
    if overflow.isEmpty, completions.post(tag: tag, result: result, flags: flags) { return }
    overflow.append((tag, result, flags))
  }

  /// One thing happens.
  private func step() {
    let index = Int.random(in: sockets.indices, using: &random)
    switch Int.random(in: 0..<8, using: &random) {
    case 0: connect(index)
    case 1...3: arrive(index)
    case 4...6: receive(index)
    default: if Bool.random(using: &random) { chunks?.readRefill(limit: 64) }
    }
  }

  private func connect(_ index: Int) {
    guard let acceptTag, index == accepted else { return }
    var pair: [Int32] = [-1, -1]
    guard unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0 else { return }
    sockets[index].ours = pair[0]
    sockets[index].theirs = pair[1]
    accepted += 1
    mustPost(acceptTag, pair[0], UInt32(IK_CQE_F_MORE))
  }

  /// A packet of a stream comes, unless it is dropped for want of a chunk and comes again later.
  private func arrive(_ index: Int) {
    let bytes = script.streams[index]
    let socket = sockets[index]
    guard socket.theirs >= 0, socket.sent < bytes.count else { return }
    let most = min(script.longestPacket, chunks?.chunkSize ?? 0)
    let size = min(random.logUniform(upTo: most), bytes.count - socket.sent)
    let part = bytes[socket.sent..<socket.sent + size]
    // The socket's own count of unread bytes is the engine's when it drains.
    let taken = unsafe part.withUnsafeBytes {
      unsafe send(socket.theirs, $0.baseAddress, size, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
    }
    guard taken == size else { return }
    var packet = Packet(bytes: part)
    let isUnsplit =
      script.unsplitOneIn > 0
      && Int.random(in: 0..<script.unsplitOneIn, using: &random) == 0
    if isUnsplit {
      counts.unsplit += 1
    } else if let (chunk, start) = place(size) {
      packet.chunk = chunk
      packet.start = start
      chunks?.write(part, to: chunk, at: start)
      chunks?.packet(in: chunk, 1)
    } else {
      counts.dropped += 1
      drain(index, size)
      if eventIsArmed {
        eventIsArmed = false
        counts.events += 1
        mustPost(OperationTag(.event, index: 0).rawValue, Int32(IK_ZCRX_EVENT_ALLOC_FAIL))
      }
      return
    }
    sockets[index].sent += size
    sockets[index].queue.append(packet)
  }

  /// Behind the last packet, or in a chunk of its own.
  private func place(_ size: Int) -> (chunk: UInt32, start: Int)? {
    if let (chunk, used) = open {
      if used + size <= chunks?.chunkSize ?? 0, Int.random(in: 0..<6, using: &random) > 0 {
        open = (chunk, used + size)
        return (chunk, used)
      }
      open = nil
      chunks?.packet(in: chunk, -1)
    }
    guard let chunk = chunks?.take() else { return nil }
    // The NIC holds it while it may still write there.
    chunks?.packet(in: chunk, 1)
    open = (chunk, size)
    return (chunk, 0)
  }
}
