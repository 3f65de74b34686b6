import RingCore
import Stages

extension Receiver {
  /// A receiver with the chain that the configuration spells: parse, checksum, sink.
  ///
  /// Every combination is a type of its own, compiled into one loop per combination; which one runs
  /// is decided here, once. Errors: a spelling that cannot be followed, or a sink that cannot start.
  public convenience init(_ configuration: ReceiveConfiguration) throws(IngestError) {
    let plan = try ChainPlan(configuration)
    var configuration = configuration
    configuration.maxConnections = plan.maxConnections
    let remarks = plan.remark.map { [$0] } ?? []
    try self.init(configuration, body: Receiver.body(plan), remarks: remarks)
  }

  private static func body(_ plan: ChainPlan) -> QueueThread.Body {
    plan.chain.accept(BodyMaker(sink: plan.chain.sink, recordBound: plan.chain.parse.recordBound))
  }
}

/// Puts framer, checksum and sink together where their types are known.
private struct BodyMaker: ChainVisitor {
  let sink: SinkSpecification
  let recordBound: Int?

  func visit<F: Framer, C: Checksum & ~Copyable & SendableMetatype>(
    _ framer: F, checksum: @escaping @Sendable (Int) -> C
  ) -> QueueThread.Body {
    let bound = recordBound
    switch sink {
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

  private func chain<
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
