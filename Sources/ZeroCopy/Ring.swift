public import CIngestKernel
public import RingCore

/// An io_uring with 32-byte completions, owned by the thread that made it
/// (SINGLE_ISSUER | DEFER_TASKRUN where the kernel has them).
///
/// The kernel calls are io_uring_setup(2), io_uring_enter(2) and io_uring_register(2). Completions
/// appear only when the owner enters the kernel (man io_uring_setup, IORING_SETUP_DEFER_TASKRUN).
@safe
public struct Ring: ~Copyable {
  @usableFromInline let ring: UnsafeMutablePointer<io_uring>
  /// Nil but in simulations.
  @usableFromInline let simulation: SimulatedKernelCalls?
  /// What the kernel of this ring can do.
  public let features: Features
  public let submissions: SubmissionQueue
  public var completions: CompletionRing
  /// What stands in for the kernel in a replay; kept alive for `simulation`.
  let script: ReplayKernel?

  /// What a ring's kernel offers beyond Linux 6.0.
  public struct Features: Sendable, Equatable {
    /// One receive may fill several provided buffers (6.10).
    public let bundles: Bool
    /// A wait may ask for a batch, but no longer than a given time (6.12).
    public let minimumWait: Bool
    /// Bundles work with incrementally consumed buffers (6.15).
    public let incrementalBundles: Bool
    /// Task work runs only when the owner asks for it (6.1).
    public let deferredTaskRun: Bool
  }

  /// Sets up a ring. Both sizes are rounded up to powers of two and clamped to the kernel's limits
  /// (32768 and 65536).
  ///
  /// - Cost: one io_uring_setup(2), two mmap(2); about 64 + 64 bytes of kernel memory per entry.
  public init(entries: UInt32, completionEntries: UInt32) throws(RingError) {
    let ring = unsafe try Ring.open(entries, completionEntries, completionSize: 32)
    let bits = unsafe ring.pointee.features
    let features = unsafe Features(
      bundles: bits & UInt32(IK_FEAT_RECVSEND_BUNDLE) != 0,
      minimumWait: bits & UInt32(IK_FEAT_MIN_TIMEOUT) != 0,
      incrementalBundles: bits & UInt32(IK_FEAT_NO_IOWAIT) != 0,
      deferredTaskRun: ring.pointee.flags & UInt32(IK_SETUP_DEFER_TASKRUN) != 0)
    unsafe self.init(ring: ring, features: features, simulation: nil)
  }

  /// A ring of the kernel's, to be ended with ik_ring_close and deallocated.
  @unsafe
  static func open(
    _ entries: UInt32, _ completionEntries: UInt32, completionSize: UInt32
  ) throws(RingError) -> UnsafeMutablePointer<io_uring> {
    let ring = UnsafeMutablePointer<io_uring>.allocate(capacity: 1)
    unsafe ring.initialize(to: io_uring())
    let error = unsafe ik_ring_open(ring, entries, completionEntries, completionSize)
    guard error == 0 else {
      unsafe ring.deallocate()
      throw RingError("set up an io_uring of \(entries) entries", errno: -error, isRing: true)
    }
    unsafe ik_ring_register_descriptor(ring)
    return unsafe ring
  }

  /// Takes over a ring that is set up, or one of a simulation.
  @unsafe
  init(
    ring: UnsafeMutablePointer<io_uring>, features: Features, simulation: SimulatedKernelCalls?,
    script: ReplayKernel? = nil
  ) {
    // liburing keeps these mapped until io_uring_queue_exit, which deinit calls.
    completions = unsafe CompletionRing(
      unsafeHead: ring.pointee.cq.khead, tail: ring.pointee.cq.ktail,
      entries: UnsafeRawPointer(ring.pointee.cq.cqes).assumingMemoryBound(to: ik_cqe.self),
      capacity: ring.pointee.cq.kring_mask.pointee + 1)
    submissions = unsafe SubmissionQueue(unsafeRing: ring)
    unsafe self.ring = ring
    self.features = features
    unsafe self.simulation = simulation
    self.script = script
  }

  /// A ring in plain memory, whose other side is a replayed kernel.
  package init(scripted kernel: ReplayKernel) {
    let bundles = kernel.shape.bundles
    unsafe self.init(
      ring: kernel.memory.ring,
      features: Features(
        bundles: bundles, minimumWait: true, incrementalBundles: bundles,
        deferredTaskRun: true),
      simulation: kernel.calls, script: kernel)
  }

  deinit {
    guard unsafe simulation == nil else { return }
    unsafe ik_ring_close(ring)
    unsafe ring.deallocate()
  }

  /// How long to wait for completions.
  public struct Wait: Sendable, Equatable {
    /// Completions to wait for; 0 does not wait.
    public var completions: UInt32
    /// Wait this long for all of them, then be content with one. Ignored before Linux 6.12.
    public var minimumMicroseconds: UInt32
    /// Give up after this long; `.max` never does.
    public var timeoutNanoseconds: UInt64

    public init(
      completions: UInt32, minimumMicroseconds: UInt32 = 0, timeoutNanoseconds: UInt64 = .max
    ) {
      self.completions = completions
      self.minimumMicroseconds = minimumMicroseconds
      self.timeoutNanoseconds = timeoutNanoseconds
    }

    /// Submit and run task work, do not sleep.
    public static let none = Wait(completions: 0)
    public static let one = Wait(completions: 1)
  }

  /// Submits what was prepared and waits. Returns 0, or the errno (positive) of a wait that ended
  /// early: ETIME, EINTR, EBUSY and EAGAIN are for the caller to go on from.
  ///
  /// - Cost: one io_uring_enter(2).
  @inlinable
  public mutating func enter(_ wait: Wait) -> Int32 {
    if let simulation = unsafe simulation {
      return unsafe -min(
        simulation.enter(simulation.context, wait.completions, wait.timeoutNanoseconds), 0)
    }
    let result = unsafe ik_ring_enter(
      ring, wait.completions, features.minimumWait ? wait.minimumMicroseconds : 0,
      wait.timeoutNanoseconds)
    return result < 0 ? -result : 0
  }

  /// Whether completions wait outside of the queue, which was full. The next enter brings as many
  /// in as there is room for; until all are, the kernel has no place for data of a receive.
  @usableFromInline
  var completionsWait: Bool {
    guard unsafe simulation == nil, let flags = unsafe ring.pointee.sq.kflags else { return false }
    return unsafe ik_load_acquire_u32(flags) & UInt32(IK_SQ_CQ_OVERFLOW) != 0
  }

  /// Requests prepared that the kernel has not taken yet.
  public var unsubmitted: UInt32 { unsafe ik_ring_unsubmitted(ring) }

  /// Has waits poll the NAPI instances of the ring's sockets for up to this long
  /// (IORING_REGISTER_NAPI, 6.9). Returns 0 or the errno, positive.
  func busyPoll(microseconds: UInt32) -> Int32 {
    -(unsafe ik_ring_register_napi(ring, microseconds))
  }

  /// Registers a provided-buffer ring. Returns 0 or the errno, positive.
  @unsafe
  package func register(
    unsafeBufferRing memory: UnsafeMutablePointer<ik_buf>, entries: UInt32, group: UInt16,
    flags: UInt16
  ) -> Int32 {
    if unsafe provideToScript(memory, entries: entries, flags: flags) { return 0 }
    return -(unsafe ik_ring_register_pbufs(ring, memory, entries, group, flags))
  }
}
