import CIngestKernel
import Glibc
public import RingCore

/// Memory that a NIC receive queue writes into: it owns the memory, and its registration with the
/// queue's page pool.
///
/// The kernel has no call that unbinds: it does so some time after the last reference to the ring
/// is gone (Linux 7.2, io_uring/zcrx.c, io_terminate_zcrx). So the ring goes first, then this
/// value: until then the memory stays mapped, and after it pinned for as long as packets lie in it.
///
/// One area belongs to one ring; ``share(on:)`` lets another ring of the process bind to it too.
@safe
public struct ZCRXArea: ~Copyable {
  /// The instance's number on its ring.
  let id: UInt32
  let refill: RefillRing
  let lock: RefillLock?
  /// Memory of the area and of its refill ring; shared areas hold it together.
  private let store: ZCRXStore
  /// The shape, with the buffer length that the kernel took.
  public let layout: AreaLayout
  /// Whether exhaustion and copies are reported (7.2).
  let hasEvents: Bool
  let isDeviceless: Bool
  /// Whether the kernel can copy into the area what the NIC did not place there.
  var takesCopies: Bool

  /// Events that are asked for. COPY is not one of them: the statistics count copies anyway.
  private static let eventMask = UInt32(1) << UInt32(IK_ZCRX_EVENT_ALLOC_FAIL)

  /// Binds `memory` to the interface queue: pins it and, unless device-less, restarts the queue.
  /// To be called on the thread that owns `ring`. Needs CAP_NET_ADMIN in the initial user
  /// namespace; the capability may be dropped afterwards.
  ///
  /// Errors: the errno with what was tried. The kernel gives no more; what it means depends on the
  /// NIC's state.
  ///
  /// - Cost: one io_uring_register(2); milliseconds, and a short loss on the queue.
  public init(
    _ memory: consuming AreaBacking, options: ZCRXOptions, on ring: borrowing Ring,
    features: KernelFeatures
  ) throws(RingError) {
    var binding = ik_zcrx_binding()
    binding.entries = options.refillEntries
    let length = memory.layout.bufferSize
    if let target = options.target {
      (binding.interface, binding.queue) = (target.interface, target.queue)
      // 0 asks for a page, which is all that kernels before 7.0 know.
      binding.buffer_length = Int32(length) == getpagesize() ? 0 : length
    } else {
      binding.flags = UInt32(IK_ZCRX_REG_NODEV)
    }
    binding.dmabuf = memory.dmabufDescriptor ?? -1
    binding.area = UInt64(UInt(bitPattern: unsafe memory.memory.address(of: 0)))
    binding.area_bytes = UInt64(memory.layout.byteCount)
    let wantsEvents = options.events && features.events == .yes
    let shape = RefillRegion.Shape(
      entries: options.refillEntries, header: features.refillHeader, stats: wantsEvents)
    var region = try RefillRegion(shape, options.refillMemory)
    region.describe(&binding)
    if wantsEvents {
      binding.event_mask = ZCRXArea.eventMask
      binding.event_data = OperationTag(.event, index: 0).rawValue
    }
    let errno = ring.register(&binding)
    guard errno == 0 else {
      throw RingError(
        "bind the area to \(options.name)", errno: errno, kernel: "6.15", isRegistration: true)
    }
    try region.mapped(by: ring, binding)
    layout = memory.layout
    refill = region.ring(binding)
    id = binding.id
    lock = nil
    hasEvents = wantsEvents
    isDeviceless = options.target == nil
    takesCopies = memory.dmabufDescriptor == nil
    store = ZCRXStore(memory: memory, region: region)
  }

  /// Binds another ring to a shared area (6.19). To be called on the thread that owns `ring`.
  public init(sharing shared: SharedZCRXArea, on ring: borrowing Ring) throws(RingError) {
    var binding = ik_zcrx_binding()
    let errno = ring.importQueue(shared.descriptor, &binding)
    guard errno == 0 else {
      throw RingError("share an interface queue", errno: errno, kernel: "6.19")
    }
    id = binding.id
    refill = unsafe shared.refill
    lock = shared.lock
    store = shared.store
    layout = shared.layout
    // Events go to the ring that registered.
    hasEvents = false
    isDeviceless = shared.isDeviceless
    takesCopies = shared.store.memory.dmabufDescriptor == nil
  }

  /// Lets other rings of this process bind to the area too (6.19). From then on every ring's claims
  /// must go back under the lock, so call it before the first completion is handled.
  ///
  /// - Cost: one io_uring_register(2).
  public mutating func share(on ring: borrowing Ring) throws(RingError) -> SharedZCRXArea {
    let descriptor = ring.exportQueue(id)
    guard descriptor >= 0 else {
      throw RingError("export an interface queue", errno: -descriptor, kernel: "6.19")
    }
    let lock = RefillLock()
    let shared = SharedZCRXArea(
      descriptor: descriptor, refill: refill, lock: lock, store: store, layout: layout,
      isDeviceless: isDeviceless)
    self = ZCRXArea(
      id: id, refill: refill, lock: lock, store: store, layout: layout, hasEvents: hasEvents,
      isDeviceless: isDeviceless, takesCopies: takesCopies)
    return shared
  }

  init(
    id: UInt32, refill: RefillRing, lock: RefillLock?, store: ZCRXStore, layout: AreaLayout,
    hasEvents: Bool, isDeviceless: Bool, takesCopies: Bool
  ) {
    self.takesCopies = takesCopies
    self.id = id
    self.refill = refill
    self.lock = lock
    self.store = store
    self.layout = layout
    self.hasEvents = hasEvents
    self.isDeviceless = isDeviceless
  }

  /// What the area lies in, for people: `64 MiB of 2 MiB huge pages on node 0`.
  public var memoryText: String { store.memory.description }

  /// A view for stages; valid while this value lives.
  public var memory: AreaMemory { store.memory.memory }

  /// As many buffers as are wanted behind an area, for what zero-copy receive cannot deliver.
  public static let reserveBuffers = SalvageReserve.wanted

  /// Buffers behind those of the area that only the CPU uses, for what the NIC left whole.
  var reserveCount: Int {
    Int(store.memory.fullLayout.bufferCount - store.memory.layout.bufferCount)
  }

  /// The area for another process to map.
  var sharedDescriptor: Int32? { store.memory.sharedDescriptor }

  /// Whether stages may read what lies in the area.
  var isReadable: Bool { store.memory.isReadable }

  /// Bytes that the kernel copied out of page fragments since the start; nil where it does not
  /// count them. Payload in a packet's linear part is copied without being counted (Linux 7.3,
  /// io_uring/zcrx.c, io_zcrx_recv_skb).
  var copiedBytes: UInt64? { hasEvents ? store.region.copiedBytes : nil }
}

/// How to bind an area.
public struct ZCRXOptions: Sendable {
  /// The interface queue; nil is device-less (7.1): no NIC, everything is copied.
  public var target: Target?
  /// Entries of the refill ring, rounded up to a power of two; at most 32768. As many as
  /// completions may be unanswered, or some wait outside.
  public var refillEntries: UInt32 = 4096
  /// Who provides the refill ring's memory.
  public var refillMemory: RefillMemory = .user
  /// Ask for events and statistics (7.2).
  public var events = true

  public struct Target: Sendable, Equatable {
    /// The interface's index, and the receive queue.
    public var interface: UInt32
    public var queue: UInt32

    public init(interface: UInt32, queue: UInt32) {
      self.interface = interface
      self.queue = queue
    }
  }

  public enum RefillMemory: String, Sendable, CaseIterable { case user, kernel }

  public init(target: Target?) { self.target = target }

  var name: String {
    guard let target else { return "a queue without a device" }
    return "queue \(target.queue) of interface \(target.interface)"
  }
}

/// An area that several rings of the process are bound to. Keeps the queue bound while it lives, so
/// let go of it once the last ring has been made.
public final class SharedZCRXArea: Sendable {
  let descriptor: Int32
  nonisolated(unsafe) let refill: RefillRing
  let lock: RefillLock
  let store: ZCRXStore
  public let layout: AreaLayout
  let isDeviceless: Bool

  init(
    descriptor: Int32, refill: RefillRing, lock: RefillLock, store: ZCRXStore, layout: AreaLayout,
    isDeviceless: Bool
  ) {
    self.descriptor = descriptor
    unsafe self.refill = refill
    self.lock = lock
    self.store = store
    self.layout = layout
    self.isDeviceless = isDeviceless
  }

  deinit { close(descriptor) }
}

/// What outlives every ring that is bound to it. Nothing of it changes after set-up but memory that
/// the kernel orders.
final class ZCRXStore: @unchecked Sendable {
  let region: RefillRegion
  let memory: AreaBacking

  init(memory: consuming AreaBacking, region: consuming RefillRegion) {
    self.memory = memory
    self.region = region
  }
}
