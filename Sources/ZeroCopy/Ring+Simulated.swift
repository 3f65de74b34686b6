public import CIngestKernel
import Glibc

/// What answers a ring's calls in the kernel's place.
///
/// Plain functions and a pointer, so that a ring stays free of reference counts; `context` must
/// outlive the ring. Results are those of the system calls: 0 or more, or a negative errno.
@frozen @unsafe
public struct SimulatedKernelCalls {
  public typealias Context = UnsafeMutableRawPointer

  public let context: Context
  /// Takes submissions and posts completions; told for how many to wait and how long at most, in
  /// nanoseconds.
  public let enter: @convention(c) (Context, UInt32, UInt64) -> Int32
  /// Binds an area to an interface queue.
  public let register: @convention(c) (Context, UnsafeMutablePointer<ik_zcrx_binding>) -> Int32
  /// Reads the refill ring (FLUSH_RQ).
  public let flush: @convention(c) (Context) -> Int32
  /// Enables the event of that number again.
  public let armEvent: @convention(c) (Context, UInt32) -> Int32
  /// recv(2) with MSG_DONTWAIT.
  public let receive: @convention(c) (Context, Int32, UnsafeMutableRawPointer, Int) -> Int
  /// CLOCK_MONOTONIC, in nanoseconds.
  public let now: @convention(c) (Context) -> UInt64

  public init(
    context: Context,
    enter: @convention(c) (Context, UInt32, UInt64) -> Int32,
    register: @convention(c) (Context, UnsafeMutablePointer<ik_zcrx_binding>) -> Int32,
    flush: @convention(c) (Context) -> Int32,
    armEvent: @convention(c) (Context, UInt32) -> Int32,
    receive: @convention(c) (Context, Int32, UnsafeMutableRawPointer, Int) -> Int,
    now: @convention(c) (Context) -> UInt64
  ) {
    unsafe self.context = context
    unsafe self.enter = enter
    unsafe self.register = register
    unsafe self.flush = flush
    unsafe self.armEvent = armEvent
    unsafe self.receive = receive
    unsafe self.now = now
  }
}

extension Ring {
  /// A ring without a kernel, for tests: engines run on it as they do on a real one.
  ///
  /// `ring` describes queues in memory: `sq` with its entries, `cq` with completions of 32 bytes.
  /// It stays the caller's and must outlive the ring.
  @unsafe
  public init(
    unsafeSimulated ring: UnsafeMutablePointer<io_uring>, calls: SimulatedKernelCalls
  ) {
    unsafe self.init(
      ring: ring,
      features: Features(
        bundles: true, minimumWait: true, incrementalBundles: true, deferredTaskRun: true),
      simulation: calls)
  }

  /// Takes what a socket holds and the CPU may read, without waiting: a count, 0 at the end of the
  /// stream, or a negative errno.
  @unsafe
  func receiveNow(_ descriptor: Int32, unsafeInto memory: UnsafeMutableRawPointer, _ count: Int)
    -> Int
  {
    if let simulation = unsafe simulation {
      return unsafe simulation.receive(simulation.context, descriptor, memory, count)
    }
    let result = unsafe recv(descriptor, memory, count, Int32(MSG_DONTWAIT))
    return result < 0 ? -Int(errno) : result
  }

  /// CLOCK_MONOTONIC in nanoseconds, or a simulation's.
  @inlinable
  func now() -> UInt64 {
    if let simulation = unsafe simulation { return unsafe simulation.now(simulation.context) }
    return ik_clock_ns()
  }
}
