import CIngestKernel
import Glibc
import RingCore

/// The queues of a ring without a kernel: plain memory in liburing's shape.
@safe
final class ScriptedRingMemory: @unchecked Sendable {
  // Sendable: see ReplayKernel.
  let ring: UnsafeMutablePointer<io_uring>
  private let words: UnsafeMutablePointer<UInt32>
  private let requests: UnsafeMutablePointer<io_uring_sqe>
  private let entries: UnsafeMutablePointer<ik_cqe>
  private let capacity: UInt32
  private var position: UInt32 = 0

  // The words, each side's own.
  private static let requestHead = 0, requestTail = 1, requestMask = 2, head = 3, tail = 4, mask = 5

  /// Both sizes are powers of two.
  init(entries count: UInt32, completions: UInt32) {
    capacity = completions
    unsafe words = .allocate(capacity: 8)
    unsafe words.initialize(repeating: 0, count: 8)
    unsafe words[ScriptedRingMemory.requestMask] = count - 1
    unsafe requests = .allocate(capacity: Int(count))
    unsafe requests.initialize(repeating: io_uring_sqe(), count: Int(count))
    unsafe entries = .allocate(capacity: Int(completions))
    unsafe entries.initialize(repeating: ik_cqe(), count: Int(completions))
    unsafe ring = .allocate(capacity: 1)
    unsafe ring.initialize(to: io_uring())
    unsafe ring.pointee.sq.khead = words + ScriptedRingMemory.requestHead
    unsafe ring.pointee.sq.ktail = words + ScriptedRingMemory.requestTail
    unsafe ring.pointee.sq.kring_mask = words + ScriptedRingMemory.requestMask
    unsafe ring.pointee.sq.sqes = requests
    unsafe ring.pointee.cq.khead = words + ScriptedRingMemory.head
    unsafe ring.pointee.cq.ktail = words + ScriptedRingMemory.tail
    unsafe words[ScriptedRingMemory.mask] = completions - 1
    unsafe ring.pointee.cq.kring_mask = words + ScriptedRingMemory.mask
    unsafe ring.pointee.cq.cqes = UnsafeMutableRawPointer(entries)
      .assumingMemoryBound(to: io_uring_cqe.self)
    unsafe ring.pointee.ring_fd = -1
    unsafe ring.pointee.enter_ring_fd = -1
  }

  deinit {
    unsafe ring.deallocate()
    unsafe entries.deallocate()
    unsafe requests.deallocate()
    unsafe words.deallocate()
  }

  /// Completions that can be posted now.
  var room: UInt32 {
    capacity &- (position &- (unsafe ik_load_acquire_u32(words + ScriptedRingMemory.head)))
  }

  /// Posts a completion. One that finds no room is lost: callers look before.
  func post(_ tag: OperationTag, result: Int32, flags: UInt32, offset: UInt64) {
    guard room > 0 else { return }
    unsafe entries[Int(position & (capacity - 1))] = ik_cqe(
      user_data: tag.rawValue, res: result, flags: flags, zcrx_offset: offset, zcrx_pad: 0)
    position &+= 1
    unsafe ik_store_release_u32(words + ScriptedRingMemory.tail, position)
  }

  /// Hands out the requests prepared since the last call.
  func takeSubmissions(_ body: (io_uring_sqe) -> Void) {
    var next = unsafe words[ScriptedRingMemory.requestHead]
    let end = unsafe ring.pointee.sq.sqe_tail
    while next != end {
      body(unsafe requests[Int(next & words[ScriptedRingMemory.requestMask])])
      next &+= 1
    }
    unsafe ik_store_release_u32(words + ScriptedRingMemory.requestHead, next)
  }
}

extension ReplayKernel {
  /// The calls of a ring that this stands behind; the ring keeps it alive.
  @unsafe
  var calls: SimulatedKernelCalls {
    unsafe SimulatedKernelCalls(
      context: Unmanaged.passUnretained(self).toOpaque(),
      enter: { context, _, _ in unsafe ReplayKernel.of(context).enter() },
      // Areas are made without: see ZCRXArea.init(replaying:).
      register: { _, _ in -EOPNOTSUPP },
      flush: { context in
        unsafe ReplayKernel.of(context).refill?.read()
        return 0
      },
      armEvent: { _, _ in 0 },
      // What was received beside the ring is not recorded.
      receive: { _, _, _, _ in -Int(EAGAIN) },
      now: { _ in ik_clock_ns() })
  }

  @unsafe
  private static func of(_ context: UnsafeMutableRawPointer) -> ReplayKernel {
    unsafe Unmanaged<ReplayKernel>.fromOpaque(context).takeUnretainedValue()
  }
}

extension Ring {
  /// A replayed kernel's part of a provided-buffer ring.
  @unsafe
  func provideToScript(
    _ memory: UnsafeMutablePointer<ik_buf>, entries: UInt32, flags: UInt16
  ) -> Bool {
    guard let script else { return false }
    script.provided = unsafe ReplayProvided(
      memory, count: entries, isIncremental: flags & UInt16(IK_PBUF_RING_INC) != 0,
      bundles: script.shape.bundles)
    return true
  }
}

extension ZCRXArea {
  /// An area that no queue was bound to, for a replay.
  package init(replaying kernel: ReplayKernel) throws(RingError) {
    let shape = kernel.shape
    let region = try RefillRegion(
      RefillRegion.Shape(entries: shape.refillEntries, header: 64, stats: false), .user)
    var binding = ik_zcrx_binding()
    binding.entries = shape.refillEntries
    binding.offsets.head = 0
    binding.offsets.tail = 64
    binding.offsets.rqes = 128
    let refill = region.ring(binding)
    let memory = try AreaBacking(shape.layout)
    kernel.refill = unsafe ReplayRefill(
      area: memory.memory, head: UnsafeMutablePointer(mutating: refill.head), tail: refill.tail,
      entries: refill.entries, capacity: shape.refillEntries)
    self.init(
      id: 0, refill: refill, lock: nil, store: ZCRXStore(memory: memory, region: region),
      layout: shape.layout, hasEvents: false, isDeviceless: shape.engine == .nodev,
      takesCopies: shape.takesCopies)
  }
}
