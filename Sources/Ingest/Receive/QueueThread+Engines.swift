import CIngestKernel
import Glibc
import RingCore
public import ZeroCopy

// The engine of a receiving thread, made on it.
extension QueueThread {
  @usableFromInline
  func makeCopyEngine() throws(IngestError) -> CopyEngine {
    var options = CopyEngineOptions(
      layout: try configuration.layout(bufferLength: plan.bufferLengths[0], plan))
    options.memory = configuration.memory.areaKind
    options.isShared = configuration.sharesArea
    options.mode = configuration.receive.engineMode
    options.engine = engineOptions()
    if let replay {
      options.script = replay
      options.mode = replay.shape.mode
    }
    do {
      let engine = try CopyEngine(
        options: options, listener: listeners[0], control: control, shared: shared)
      engineHasListener()
      recording?.describe(thread: index, engine.flightShape)
      return engine
    } catch {
      throw IngestError(error)
    }
  }

  /// A ring of its own, bound to this thread's interface queue or to a share of it.
  @usableFromInline
  func makeZeroCopyEngine() throws(IngestError) -> ZeroCopyEngine {
    let sizes = plan.ringSizes(configuration)
    let seat = plan.queue(of: index).flatMap { place in
      exchange.map { ExchangeSeat($0, queue: place.queue) }
    }
    if let replay { return try makeReplayedEngine(replay) }
    let ring = try ring(completions: sizes.completions)
    let area = try bindArea(ring, sizes)
    do throws(RingError) {
      let engine = try ZeroCopyEngine(
        ring: ring, area: area, options: engineOptions(), listener: listeners[0], control: control,
        shared: shared, seat: seat)
      engineHasListener()
      var shape = engine.flightShape
      shape.queue = plan.queue(of: index)?.queue
      recording?.describe(thread: index, shape)
      return engine
    } catch {
      throw IngestError(error)
    }
  }

  private func makeReplayedEngine(_ kernel: ReplayKernel) throws(IngestError) -> ZeroCopyEngine {
    do throws(RingError) {
      let engine = try ZeroCopyEngine(
        ring: Ring(scripted: kernel), area: ZCRXArea(replaying: kernel), options: engineOptions(),
        listener: listeners[0], control: control, shared: shared)
      engineHasListener()
      recording?.describe(thread: index, kernel.shape)
      return engine
    } catch {
      throw IngestError(error)
    }
  }

  private func ring(completions: UInt32) throws(IngestError) -> Ring {
    do throws(RingError) {
      // The kernel wants no fewer completions than submissions.
      return try Ring(
        entries: min(ZeroCopyEngine.submissionEntries, completions),
        completionEntries: completions)
    } catch {
      throw IngestError(error)
    }
  }

  /// The first thread of a queue registers it, later ones share what that one registered.
  private func bindArea(
    _ ring: borrowing Ring, _ sizes: EnginePlan.RingSizes
  ) throws(IngestError) -> ZCRXArea {
    let place = plan.queue(of: index)
    do throws(RingError) {
      if let place, place.shares, let shared = shares.area(of: place.queue) {
        return try ZCRXArea(sharing: shared, on: ring)
      }
    } catch {
      throw IngestError(error)
    }
    let binding = AreaBinding(
      configuration: configuration, plan: plan, sizes: sizes, tell: { self.notice($0) },
      remark: { self.remark($0) })
    var area = try binding.bind(ring, queue: place?.queue)
    do throws(RingError) {
      if let place, plan.isShared { shares.put(try area.share(on: ring), queue: place.queue) }
    } catch {
      throw IngestError(error)
    }
    return area
  }

  private func engineOptions() -> EngineOptions {
    var options = EngineOptions()
    options.waitBatch = configuration.latency ? 1 : UInt32(configuration.waitBatch)
    options.minimumWait = configuration.latency ? 0 : UInt32(configuration.minWait)
    options.maxConnections = configuration.maxConnections
    options.peers = peers
    options.moreListeners = Array(listeners.dropFirst())
    options.holdLimit = QueueThread.holdLimit
    let need = DescriptorNeed(configuration)
    if need.isShort && replay == nil { options.descriptorReserve = need.reserve }
    if body.answersElsewhere {
      // What is handed to another thread, or gathered for plugins, may be back within the same
      // batch, which brings no more leases than the completion queue holds and the area has
      // buffers; and its sink may refuse every connection at once.
      let buffers = (try? configuration.layout(bufferLength: plan.bufferLengths[0], plan))
      options.returnLimit =
        QueueThread.holdLimit + Int(buffers?.bufferCount ?? 0) + QueueThread.mostCompletions
      options.refusalLimit = configuration.maxConnections
    }
    options.firstSerial = UInt64(index) + 1
    options.serialStep = UInt64(plan.threads)
    options.recorder = recording?.recorder(thread: index) ?? FlightRecorder()
    options.busyPoll = UInt32(clamping: configuration.busyPoll)
    return options
  }
}

extension IngestError {
  /// What the kernel refused while an engine was set up.
  init(_ error: RingError) {
    if error.isRing, let known = Registration.explain(ring: error) {
      self.init(known)
      return
    }
    self.init(
      IngestError.kind(of: error.errno),
      "could not \(error.step): \(unsafe String(cString: strerror(error.errno)))",
      remedy: error.remedy)
  }

  /// What a refusal means to the user: no right to it, no such thing here, or no more of it.
  private static func kind(of errno: Int32) -> Kind {
    switch errno {
    case EPERM, EACCES: .noPrivilege
    case ENOENT, ENODEV, ENXIO, ENOSYS, EOPNOTSUPP: .notSupported
    default: .refusedByKernel
    }
  }
}
