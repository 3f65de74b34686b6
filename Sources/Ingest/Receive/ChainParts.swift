public import Stages

/// The parts of a chain, each made on the thread that runs it, and the ways to put them together:
/// all on one thread, or with a ``HandOver`` between them.
@usableFromInline
struct ChainParts<
  F: Framer, C: Checksum & ~Copyable & SendableMetatype, S: RecordStage & ~Copyable,
  T: Sink & ~Copyable & SendableMetatype
>: Sendable {
  @usableFromInline let framer: F
  @usableFromInline let checksum: @Sendable (Int) -> C
  @usableFromInline let stage: @Sendable (StageContext) throws(IngestError) -> S
  @usableFromInline let sink: @Sendable (StageContext) throws(SinkError) -> T

  @inlinable
  init(
    framer: F, checksum: @escaping @Sendable (Int) -> C,
    stage: @escaping @Sendable (StageContext) throws(IngestError) -> S,
    sink: @escaping @Sendable (StageContext) throws(SinkError) -> T
  ) {
    self.framer = framer
    self.checksum = checksum
    self.stage = stage
    self.sink = sink
  }

  /// `answersElsewhere` as in ``QueueThread/Body``.
  @inlinable
  func inline(answersElsewhere: Bool = false) -> QueueThread.Body {
    QueueThread.Body(answersElsewhere: answersElsewhere) { thread throws(IngestError) in
      try thread.run { context throws(IngestError) in
        RecordChain(
          framer: framer, checksum: checksum(context.maxConnections), sink: try end(context),
          maxConnections: context.maxConnections)
      }
    }
  }

  /// The user's stage and the sink.
  @inlinable
  func end(_ context: StageContext) throws(IngestError) -> Staged<S, T> {
    let target: T
    do throws(SinkError) {
      target = try sink(context)
    } catch {
      throw IngestError(error)
    }
    return Staged(try stage(context), target, maxConnections: context.maxConnections)
  }

  @inlinable
  func spread(_ place: PlaceSpecification) -> QueueThread.Body {
    if place.checksum == .own {
      return QueueThread.Body(answersElsewhere: true) { thread throws(IngestError) in
        try thread.run { context throws(IngestError) in
          RecordChain(
            framer: framer, checksum: checksum(context.maxConnections),
            sink: try thread.handOver(context, to: "sink", at: place.sink) {
              placed, _ throws(IngestError) in
              try last(NoChecksum(), placed)
            },
            maxConnections: context.maxConnections)
        }
      }
    }
    return QueueThread.Body(answersElsewhere: true) { thread throws(IngestError) in
      try thread.run { context throws(IngestError) in
        let next = try thread.handOver(context, to: "checksum", at: place.checksum) {
          placed, bell throws(IngestError) in
          if place.sink == place.checksum {
            try last(checksum(context.maxConnections), placed)
            return
          }
          let sink = try thread.handOver(context, to: "sink", at: place.sink, back: bell) {
            placed, _ throws(IngestError) in
            try last(NoChecksum(), placed)
          }
          try placed.run(Checked(checksum(context.maxConnections), sink))
        }
        return RecordChain(
          framer: framer, rest: HandOverAll(next), maxConnections: context.maxConnections)
      }
    }
  }

  /// The part that ends with the sink.
  @inlinable
  func last<Check: Checksum & ~Copyable>(
    _ check: consuming Check, _ placed: PlacedThread
  ) throws(IngestError) {
    try placed.run(Checked(check, try end(placed.context)))
  }
}
