import RingCore
import Stages

extension Receiver {
  /// A receiver with the chain that the configuration spells: parse, checksum, sink.
  ///
  /// Every combination is a type of its own, compiled into one loop per combination; which one
  /// runs is decided here, once. Errors: a spelling that cannot be followed, or a sink that cannot
  /// start.
  public convenience init(_ configuration: ReceiveConfiguration) throws(IngestError) {
    let plan = try ChainPlan(configuration)
    var configuration = configuration
    configuration.maxConnections = plan.maxConnections
    let remarks = plan.remark.map { [$0] } ?? []
    try self.init(configuration, body: Receiver.body(plan), remarks: remarks)
  }

  // The switches stand here and the parts are concrete where they meet: only then does the compiler
  // make a loop for each combination. tools/gates/hotpath looks for those loops in the binary.

  private static func body(_ plan: ChainPlan) -> QueueThread.Body {
    switch plan.chain.parse {
    case .raw: return computed(RawFramer(), plan)
    case .lines(let framer): return computed(framer, plan)
    case .length(let framer): return computed(framer, plan)
    case .fixed(let framer): return computed(framer, plan)
    case .wire(let framer):
      guard case .verify(let kind) = plan.chain.checksum else { return computed(framer, plan) }
      return sunk(framer, plan) { VerifyChecksum(kind, maxConnections: $0) }
    }
  }

  private static func computed<F: Framer>(_ framer: F, _ plan: ChainPlan) -> QueueThread.Body {
    switch plan.chain.checksum {
    case .compute(let kind, let expected):
      return sunk(framer, plan) { ComputeChecksum(kind, expected: expected, maxConnections: $0) }
    case .none, .verify:  // to verify what carries no digest was refused with the spelling
      return sunk(framer, plan) { _ in NoChecksum() }
    }
  }

  private static func sunk<F: Framer, C: Checksum & ~Copyable & SendableMetatype>(
    _ framer: F, _ plan: ChainPlan, _ checksum: @escaping @Sendable (Int) -> C
  ) -> QueueThread.Body {
    let bound = plan.chain.parse.recordBound
    switch plan.chain.sink {
    case .null:
      return chain(framer, checksum) { _ throws(SinkError) in NullSink() }
    case .stdout(let bytes):
      return chain(framer, checksum) { context throws(SinkError) in
        try StdoutSink(bytes: bytes, maxConnections: context.maxConnections, recordBound: bound)
      }
    case .file(let options):
      return chain(framer, checksum) { context throws(SinkError) in
        try FileSink(
          options, maxConnections: context.maxConnections, recordBound: bound,
          thread: context.threads > 1 ? context.thread : nil)
      }
    }
  }

  private static func chain<
    F: Framer, C: Checksum & ~Copyable & SendableMetatype, S: Sink & ~Copyable & SendableMetatype
  >(
    _ framer: F, _ checksum: @escaping @Sendable (Int) -> C,
    _ sink: @escaping @Sendable (StageContext) throws(SinkError) -> S
  ) -> QueueThread.Body {
    QueueThread.Body { thread throws(IngestError) in
      try thread.run { context throws(IngestError) in
        let target: S
        do throws(SinkError) {
          target = try sink(context)
        } catch {
          throw IngestError(
            error.kind == .usage ? .usage : .failed, error.what, remedy: error.remedy)
        }
        return RecordChain(
          framer: framer, checksum: checksum(context.maxConnections), sink: target,
          maxConnections: context.maxConnections)
      }
    }
  }
}
