public import CIngestKernel

/// Wakes a thread that sleeps in the kernel, and costs next to nothing where it does not sleep.
///
/// The sleeper says that it will sleep (``prepare()``), looks for work once more, and sleeps until
/// its eventfd is readable. Whoever leaves work rings afterwards: it looks whether the other sleeps
/// and writes to the eventfd only then.
///
/// Memory order: both sides store, then load what the other stores (work and flag, flag and work).
/// A full fence between the store and the load on each side makes one of them see the other; with
/// acquire and release alone both loads may come first, and the sleeper is never woken.
/// tools/models/doorbell.pml has the proof, and the failure without a fence.
@safe
public final class Doorbell: @unchecked Sendable {
  // Sendable: the pointer never changes, and the word behind it is only touched atomically.
  /// Bare memory, since the data path asks for nothing that counts references.
  private let memory: UnsafeMutablePointer<UInt32>

  /// Whoever is woken owns the descriptor, an eventfd, and reads it empty.
  public let descriptor: Int32

  public init(descriptor: Int32) {
    self.descriptor = descriptor
    // A pair of cache lines of its own.
    let raw = UnsafeMutableRawPointer.allocate(byteCount: 128, alignment: 128)
    unsafe memory = raw.initializeMemory(as: UInt32.self, repeating: 0, count: 32)
  }

  deinit { unsafe memory.deallocate() }

  /// For the other side's data path. Valid while the doorbell lives.
  public var bell: Bell { unsafe Bell(asleep: memory, descriptor: descriptor) }
}

/// A ``Doorbell`` as two words.
@frozen @safe
public struct Bell: BitwiseCopyable, @unchecked Sendable {
  // Sendable: the word behind the pointer is only touched atomically.
  @usableFromInline let asleep: UnsafeMutablePointer<UInt32>
  public let descriptor: Int32

  init(asleep: UnsafeMutablePointer<UInt32>, descriptor: Int32) {
    unsafe self.asleep = asleep
    self.descriptor = descriptor
  }

  /// Wakes the sleeper if it sleeps, or is about to. After the work was left for it.
  ///
  /// - Cost: a fence and a load; one write(2) where it sleeps.
  @inlinable
  public func ring() {
    ik_fence()
    guard unsafe ik_load_relaxed_u32(asleep) != 0 else { return }
    wake()
  }

  @inline(never) @usableFromInline
  func wake() {
    // Of several that ring, one writes.
    if unsafe ik_exchange_u32(asleep, 0) != 0 { ik_event_signal(descriptor) }
  }

  /// Says that this thread will sleep. Look for work after this, then sleep or ``stay()``.
  @inlinable
  public func prepare() {
    unsafe ik_store_relaxed_u32(asleep, 1)
    ik_fence()
  }

  /// There is work, or the sleep is over.
  @inlinable
  public func stay() { unsafe ik_store_relaxed_u32(asleep, 0) }
}
