import Glibc
import NICControl
import RingCore
import Synchronization
import ZeroCopy

/// Binds the area of one ring: finds the longest buffers that kernel, NIC and memory allow, waits
/// for a predecessor to let go of the queue, and says why where it cannot be done.
struct AreaBinding {
  let configuration: ReceiveConfiguration
  let plan: EnginePlan
  let sizes: EnginePlan.RingSizes
  let features = KernelFeatures()
  /// Told at once, while something is waited for.
  let tell: (String) -> Void
  /// Told once it runs: why it is not better.
  let remark: (String) -> Void

  /// To be called on the thread that owns the ring. `queue` is nil for a device-less instance.
  func bind(_ ring: borrowing Ring, queue: UInt32?) throws(IngestError) -> ZCRXArea {
    var bound: ZCRXArea?
    let trial = try BufferLengthTrial.run(
      plan.bufferLengths, contiguousBytes: configuration.memory.areaKind.contiguousBytes
    ) { length throws(IngestError) in
      let layout = try configuration.layout(bufferLength: length, plan)
      let result = attempt(ring, layout, queue: queue)
      switch consume result {
      case .bound(let area):
        bound = consume area
        return 0
      case .refused(let errno): return errno
      case .failed(let error): throw error
      }
    }
    if let area = bound.take() {
      if let text = trial.remark { remark(text) }
      let sum = plan.sizing(configuration, bufferLength: Int(area.layout.bufferSize))
      remark(sum.spelled)
      remark("memory: \(area.memoryText)")
      for warning in sum.warnings { remark(warning) }
      return area
    }
    guard let last = trial.attempts.last else {
      throw IngestError(.failed, "there is no buffer length to try")
    }
    throw explain(
      last.errno, queue: queue, try configuration.layout(bufferLength: last.length, plan))
  }

  private enum Attempt: ~Copyable {
    case bound(ZCRXArea)
    case refused(Int32)
    case failed(IngestError)
  }

  /// One registration; where the queue is taken, another one once it is free.
  private func attempt(
    _ ring: borrowing Ring, _ layout: AreaLayout, queue: UInt32?
  ) -> Attempt {
    let first = once(ring, layout, queue: queue)
    switch consume first {
    case .refused(EEXIST):
      guard let queue, let registration, registration.waitUntilFree(queue, tell: tell) else {
        return .refused(EEXIST)
      }
      return once(ring, layout, queue: queue)
    case .refused(let errno): return .refused(errno)
    case .failed(let error): return .failed(error)
    case .bound(let area): return .bound(area)
    }
  }

  private func once(_ ring: borrowing Ring, _ layout: AreaLayout, queue: UInt32?) -> Attempt {
    var options = ZCRXOptions(target: target(queue))
    options.refillEntries = sizes.refill
    options.refillMemory = configuration.refillMemory == .kernel ? .kernel : .user
    do throws(RingError) {
      let memory = try AreaBacking(
        layout, kind: configuration.memory.areaKind, numaNode: registration?.numaNode,
        reserve: ZCRXArea.reserveBuffers, shared: configuration.sharesArea)
      if let text = memory.remark { remark(text) }
      return .bound(try ZCRXArea(memory, options: options, on: ring, features: features))
    } catch {
      return error.isRegistration ? .refused(error.errno) : .failed(IngestError(error))
    }
  }

  private func target(_ queue: UInt32?) -> ZCRXOptions.Target? {
    guard let queue, let registration else { return nil }
    return ZCRXOptions.Target(interface: registration.interface, queue: queue)
  }

  private func explain(_ errno: Int32, queue: UInt32?, _ layout: AreaLayout) -> IngestError {
    Registration.explain(
      errno, features: features,
      wish: RegistrationWish(
        configuration, layout, queue: queue, refillEntries: sizes.refill))
  }

  private var registration: Registration? {
    guard case .zeroCopy(let interface, _) = plan.engine, let ifname = configuration.ifname else {
      return nil
    }
    return Registration(ifname: ifname, interface: interface)
  }
}

/// Areas that threads share, from the one that registered to those that import.
final class QueueShares: Sendable {
  private let areas = Mutex<[UInt32: SharedZCRXArea]>([:])

  func put(_ area: SharedZCRXArea, queue: UInt32) { areas.withLock { $0[queue] = area } }
  func area(of queue: UInt32) -> SharedZCRXArea? { areas.withLock { $0[queue] } }
  /// Once every thread has its ring: an exported descriptor would keep the queue bound.
  func clear() { areas.withLock { $0 = [:] } }
}
