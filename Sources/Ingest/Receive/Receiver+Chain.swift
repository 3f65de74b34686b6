public import Stages

extension Receiver {
  /// A receiver with the chain that the configuration spells: parse, checksum, sink.
  ///
  /// Every combination is a type of its own, compiled into one loop per combination; which one
  /// runs is decided here, once. Errors: a spelling that cannot be followed, or a sink that cannot
  /// start.
  public convenience init(_ configuration: ReceiveConfiguration) throws(IngestError) {
    try self.init(configuration, chain: ChainPlan(configuration)) { _ in NoStage() }
  }

  /// As ``init(_:)``, with a stage of your own between checksum and sink.
  ///
  /// `makeStage` is called once per thread, on that thread, before its first connection. The loops
  /// are compiled for the stage where this is called, so a release build of your program takes as
  /// long as one of `ingest`.
  @inlinable
  public convenience init<S: RecordStage & ~Copyable>(
    _ configuration: ReceiveConfiguration,
    recordStage makeStage: @escaping @Sendable (StageContext) throws(IngestError) -> S
  ) throws(IngestError) {
    try self.init(configuration, chain: ChainPlan(configuration), makeStage)
  }

  @inlinable
  convenience init<S: RecordStage & ~Copyable>(
    _ configuration: ReceiveConfiguration, chain plan: ChainPlan,
    _ makeStage: @escaping @Sendable (StageContext) throws(IngestError) -> S
  ) throws(IngestError) {
    var configuration = configuration
    configuration.maxConnections = plan.maxConnections
    try self.init(
      configuration, body: ChainBody(plan, makeStage).body(),
      remarks: plan.remarks)
  }
}

/// Makes the loop for a chain.
///
/// The switches stand here and the parts are concrete where they meet: only then does the compiler
/// make a loop for each combination of framer, checksum and the sinks that cost least. Other sinks
/// stand behind gathered pieces, each compiled once. All of it is inlinable, so that a user's stage
/// gets its loops in the user's module. tools/gates/hotpath looks for those loops in the binary.
@usableFromInline
struct ChainBody<S: RecordStage & ~Copyable> {
  @usableFromInline let plan: ChainPlan
  @usableFromInline let makeStage: @Sendable (StageContext) throws(IngestError) -> S

  @inlinable
  init(
    _ plan: ChainPlan, _ makeStage: @escaping @Sendable (StageContext) throws(IngestError) -> S
  ) {
    self.plan = plan
    self.makeStage = makeStage
  }

  @inlinable
  func body() -> QueueThread.Body {
    switch plan.chain.parse {
    case .raw: return computed(RawFramer())
    case .lines(let framer): return computed(framer)
    case .length(let framer): return computed(framer)
    case .fixed(let framer): return computed(framer)
    case .described(let description):
      switch description.form {
      case .length(let framer): return computed(framer)
      case .chunked(let framer): return computed(framer)
      }
    case .wire(let framer):
      guard case .verify(let kind) = plan.chain.checksum else { return computed(framer) }
      return sunk(framer) { VerifyChecksum(kind, maxConnections: $0) }
    }
  }

  @inlinable
  func computed<F: Framer>(_ framer: F) -> QueueThread.Body {
    switch plan.chain.checksum {
    case .compute(let kind, let expected):
      return sunk(framer) { ComputeChecksum(kind, expected: expected, maxConnections: $0) }
    case .none, .verify:  // to verify what carries no digest was refused with the spelling
      return sunk(framer) { _ in NoChecksum() }
    }
  }

  @inlinable
  func sunk<F: Framer, C: Checksum & ~Copyable & SendableMetatype>(
    _ framer: F, _ checksum: @escaping @Sendable (Int) -> C
  ) -> QueueThread.Body {
    if let plugins = plan.plugins { return gathered(framer, checksum, plugins) }
    let bound = plan.chain.parse.recordBound
    switch plan.chain.sink {
    case .null:
      return chain(framer, checksum) { _ throws(SinkError) in NullSink() }
    case .stdout(let bytes, let overflow):
      return chain(framer, checksum) { context throws(SinkError) in
        try StdoutSink(
          bytes: bytes, overflow: overflow, maxConnections: context.maxConnections,
          recordBound: bound)
      }
    case .file(let options):
      return chain(framer, checksum) { context throws(SinkError) in
        try context.file(options, recordBound: bound)
      }
    // Directly behind the loop: what comes after its consumer went is accounted for by the engine.
    case .shared(let options):
      return chain(framer, checksum) { context throws(SinkError) in try context.shared(options) }
    case .unix, .forward, .tee:
      return gathered(framer, checksum, .none)
    }
  }

  @inlinable
  func chain<
    F: Framer, C: Checksum & ~Copyable & SendableMetatype, T: Sink & ~Copyable & SendableMetatype
  >(
    _ framer: F, _ checksum: @escaping @Sendable (Int) -> C,
    _ sink: @escaping @Sendable (StageContext) throws(SinkError) -> T
  ) -> QueueThread.Body {
    let parts = ChainParts(framer: framer, checksum: checksum, stage: makeStage, sink: sink)
    if plan.place == .inline { return parts.inline() }
    return parts.spread(plan.place)
  }
}

extension IngestError {
  /// Why a sink cannot start.
  @usableFromInline
  init(_ error: SinkError) {
    self.init(error.kind == .usage ? .usage : .failed, error.what, remedy: error.remedy)
  }
}
