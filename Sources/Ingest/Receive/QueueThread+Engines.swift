import CIngestKernel
import Glibc
import RingCore
import Synchronization
public import ZeroCopy

// The engine of a receiving thread, made on it.
extension QueueThread {
  @usableFromInline
  func makeCopyEngine() throws(IngestError) -> CopyEngine {
    var options = CopyEngineOptions(
      layout: try configuration.layout(bufferLength: plan.bufferLengths[0], plan))
    options.memory = configuration.memory == .thp ? .thp : .pages
    options.mode = configuration.receive.engineMode
    options.engine = engineOptions()
    do {
      let engine = try CopyEngine(
        options: options, listener: listener, control: control, shared: shared)
      engineHasListener()
      return engine
    } catch {
      throw IngestError(error)
    }
  }

  /// A ring of its own, bound to this thread's interface queue or to a share of it.
  @usableFromInline
  func makeZeroCopyEngine() throws(IngestError) -> ZeroCopyEngine {
    let layout = try configuration.layout(bufferLength: plan.bufferLengths[0], plan)
    let sizes = plan.ringSizes(configuration, layout)
    let features = KernelFeatures()
    do {
      let ring = try Ring(
        entries: ZeroCopyEngine.submissionEntries, completionEntries: sizes.completions)
      let area = try bind(ring, sizes: sizes, features)
      let seat = plan.queue(of: index).flatMap { place in
        exchange.map { ExchangeSeat($0, queue: place.queue) }
      }
      let engine = try ZeroCopyEngine(
        ring: ring, area: area, options: engineOptions(), listener: listener, control: control,
        shared: shared, seat: seat)
      engineHasListener()
      return engine
    } catch let error as RingError {
      throw IngestError(error)
    } catch let error as IngestError {
      throw error
    } catch {
      throw IngestError(.failed, "\(error)")
    }
  }

  private func bind(
    _ ring: borrowing Ring, sizes: EnginePlan.RingSizes, _ features: KernelFeatures
  ) throws -> ZCRXArea {
    guard let place = plan.queue(of: index) else {
      return try register(ring, target: nil, sizes: sizes, features)
    }
    if place.shares {
      guard let shared = shares.area(of: place.queue) else {
        throw IngestError(.failed, "queue \(place.queue) has no area to share")
      }
      return try ZCRXArea(sharing: shared, on: ring)
    }
    guard case .zeroCopy(let interface, let queues) = plan.engine else {
      throw IngestError(.failed, "no interface to bind")
    }
    var area = try register(
      ring, target: ZCRXOptions.Target(interface: interface, queue: place.queue), sizes: sizes,
      features)
    if plan.threads > queues.count { shares.put(try area.share(on: ring), queue: place.queue) }
    return area
  }

  /// Binds with the longest buffers that kernel, NIC and memory allow.
  private func register(
    _ ring: borrowing Ring, target: ZCRXOptions.Target?, sizes: EnginePlan.RingSizes,
    _ features: KernelFeatures
  ) throws -> ZCRXArea {
    var options = ZCRXOptions(target: target)
    options.refillEntries = sizes.refill
    options.refillMemory = configuration.refillMemory == .kernel ? .kernel : .user
    var refusals: [String] = []
    for length in plan.bufferLengths {
      let layout = try configuration.layout(bufferLength: length, plan)
      do {
        let memory = try AreaBacking(layout, kind: configuration.memory == .thp ? .thp : .pages)
        let memoryRemark = memory.remark
        let area = try ZCRXArea(memory, options: options, on: ring, features: features)
        if let memoryRemark { remark(memoryRemark) }
        if !refusals.isEmpty {
          remark("buffers of \(length) bytes: " + refusals.joined(separator: "; "))
        }
        return area
      } catch {
        let depends = [EINVAL, ERANGE, EOPNOTSUPP].contains(error.errno)
        guard depends, length > Int(getpagesize()), plan.bufferLengths.count > 1 else {
          throw error
        }
        refusals.append("\(length) was refused (\(unsafe String(cString: strerror(error.errno))))")
      }
    }
    throw IngestError(.failed, "no buffer length to try")
  }

  private func engineOptions() -> EngineOptions {
    var options = EngineOptions()
    options.waitBatch = configuration.latency ? 1 : UInt32(configuration.waitBatch)
    options.minimumWait = configuration.latency ? 0 : UInt32(configuration.minWait)
    options.maxConnections = configuration.maxConnections
    options.holdLimit = QueueThread.holdLimit
    options.firstSerial = UInt64(index) + 1
    options.serialStep = UInt64(plan.threads)
    options.busyPoll = UInt32(clamping: configuration.busyPoll)
    return options
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

extension IngestError {
  /// What the kernel refused while an engine was set up.
  init(_ error: RingError) {
    self.init(
      error.errno == EPERM ? .noPrivilege : .refusedByKernel,
      "could not \(error.step): \(unsafe String(cString: strerror(error.errno)))",
      remedy: error.remedy)
  }
}
