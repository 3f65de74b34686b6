import RingCore
public import Stages

/// The plugins of a configuration: loaded once, before any thread starts.
@usableFromInline
struct PluginPlan: Sendable {
  private let choices: [PluginChoice]
  private let timeoutMilliseconds: Int

  /// No plugin at all: what was gathered goes on as it is.
  @usableFromInline static let none = PluginPlan()

  private init() {
    choices = []
    timeoutMilliseconds = 1
  }

  /// Nil where there are none. Errors: a spelling, or a shared object that cannot be taken.
  init?(_ configuration: ReceiveConfiguration) throws(IngestError) {
    guard !configuration.stages.isEmpty else { return nil }
    let list: [PluginSpecification]
    do throws(SpecificationError) {
      list = try PluginSpecification.list(configuration.stages)
    } catch {
      throw IngestError(.usage, error.description, remedy: error.remedy)
    }
    var choices: [PluginChoice] = []
    do throws(SinkError) {
      for one in list {
        choices.append(
          one.isIsolated
            ? .isolated(path: one.path, options: one.options)
            : .loaded(try PluginLibrary(one.path), options: one.options))
      }
    } catch {
      throw IngestError(error)
    }
    self.choices = choices
    timeoutMilliseconds = max(1, Int(configuration.stageTimeout * 1000))
  }

  /// Instances for the calling thread, before `next`.
  @usableFromInline
  func stage(
    _ context: StageContext, before next: consuming PluginNext
  ) throws(SinkError) -> PluginStage {
    var place = PluginPlace(
      thread: context.thread, threads: context.threads, maxConnections: context.maxConnections)
    place.timeoutMilliseconds = timeoutMilliseconds
    place.drop = context.drop
    place.areaBytes = context.layout.byteCount
    if choices.contains(where: { $0.isIsolated }) {
      guard let descriptor = context.sharedArea else {
        throw SinkError(.failed, "the area of this engine cannot be shared with another process")
      }
      place.areaDescriptor = descriptor
    }
    return try PluginStage(choices, place: place, area: context.area, next: next)
  }
}

extension ChainBody where S: ~Copyable {
  /// parse and checksum before pieces that are gathered for plugins, whatever the sink is.
  @inlinable
  func gathered<F: Framer, C: Checksum & ~Copyable & SendableMetatype>(
    _ framer: F, _ checksum: @escaping @Sendable (Int) -> C, _ plugins: PluginPlan
  ) -> QueueThread.Body {
    let behind = behind()
    let parts = ChainParts(
      framer: framer, checksum: checksum, stage: { _ in NoStage() },
      sink: { context throws(SinkError) in
        try plugins.stage(context, before: try behind(context))
      })
    return plan.place == .inline ? parts.inline(answersElsewhere: true) : parts.spread(plan.place)
  }

  @usableFromInline
  typealias Behind = @Sendable (StageContext) throws(SinkError) -> PluginNext

  /// The program's own stage and the sink, each of which is compiled once, whatever comes before.
  @inlinable
  func behind() -> Behind {
    let bound = plan.chain.parse.recordBound
    switch plan.chain.sink {
    case .null: return compiled { _ throws(SinkError) in NullSink() }
    case .stdout(let bytes, let overflow):
      return compiled { context throws(SinkError) in
        try StdoutSink(
          bytes: bytes, overflow: overflow, maxConnections: context.maxConnections,
          recordBound: bound)
      }
    case .shared(let options):
      return compiled { context throws(SinkError) in try context.shared(options) }
    case .unix(let options) where options.mode == .fd:
      return compiled { context throws(SinkError) in
        try MemfdSink(
          options, maxConnections: context.maxConnections, control: context.runControl)
      }
    case .unix(let options):
      return compiled { context throws(SinkError) in
        try StdoutSink(options, maxConnections: context.maxConnections, recordBound: bound)
      }
    case .forward(let options):
      return compiled { context throws(SinkError) in try context.forward(options) }
    case .tee(let first, let second):
      return compiled { context throws(SinkError) in
        try context.tee(first, second, recordBound: bound)
      }
    case .file(let options):
      return compiled { context throws(SinkError) in
        try context.file(options, recordBound: bound)
      }
    }
  }

  @inlinable
  func compiled<T: Sink & ~Copyable & SendableMetatype>(
    _ sink: @escaping @Sendable (StageContext) throws(SinkError) -> T
  ) -> Behind {
    let makeStage = makeStage
    return { context throws(SinkError) in
      let stage: S
      do throws(IngestError) {
        stage = try makeStage(context)
      } catch {
        throw SinkError(
          error.kind == .usage ? .usage : .failed, error.what, remedy: error.remedy)
      }
      return PluginNext(
        Staged(stage, try sink(context), maxConnections: context.maxConnections))
    }
  }
}
