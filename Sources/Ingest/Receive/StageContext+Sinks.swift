import RingCore
public import Stages
import ZeroCopy

extension StageContext {
  /// The sink that writes files; with several receiving threads each has its own.
  @usableFromInline
  func file(_ options: FileSinkOptions, recordBound: Int?) throws(SinkError) -> FileSink {
    try FileSink(
      options, maxConnections: maxConnections, recordBound: recordBound,
      thread: threads > 1 ? thread : nil)
  }

  /// The sink that shares this thread's area with a consumer process.
  @usableFromInline
  func shared(
    _ options: SharedSinkOptions, holdLimit: Int? = nil
  ) throws(SinkError) -> SharedSink {
    guard let sharedArea else {
      throw SinkError(.failed, "the area of this engine cannot be shared with another process")
    }
    return try SharedSink(
      options, area: sharedArea, areaBytes: layout.byteCount, maxConnections: maxConnections,
      holdLimit: holdLimit ?? self.holdLimit, thread: thread, control: runControl)
  }

  /// The sink that sends connections on.
  @usableFromInline
  func forward(
    _ options: ForwardSinkOptions, holdLimit: Int? = nil
  ) throws(SinkError) -> ForwardSink {
    try ForwardSink(
      options, maxConnections: maxConnections, holdLimit: holdLimit ?? self.holdLimit,
      control: runControl)
  }

  /// Two sinks, each with half of the leases that may be held.
  @usableFromInline
  func tee(
    _ first: SinkSpecification, _ second: SinkSpecification, recordBound: Int?
  ) throws(SinkError) -> TeeSink {
    TeeSink(try branch(first, recordBound), try branch(second, recordBound))
  }

  private func branch(
    _ sink: SinkSpecification, _ bound: Int?
  ) throws(SinkError) -> TeeSink.Branch {
    switch sink {
    case .file(let options):
      return EitherSink(try file(options, recordBound: bound))
    case .forward(let options):
      return EitherSink(other: EitherSink(try forward(options, holdLimit: max(holdLimit / 2, 1))))
    case .shared(let options):
      let shared = try shared(options, holdLimit: max(holdLimit / 2, 1))
      return EitherSink(other: EitherSink(other: EitherSink(shared)))
    case .unix(let options) where options.mode == .fd:
      let memfd = try MemfdSink(options, maxConnections: maxConnections, control: runControl)
      return EitherSink(
        other: EitherSink(other: EitherSink(other: EitherSink(other: memfd))))
    case .unix(let options):
      let stream = try StdoutSink(options, maxConnections: maxConnections, recordBound: bound)
      return EitherSink(other: EitherSink(other: EitherSink(other: EitherSink(stream))))
    case .null, .stdout, .tee:
      throw SinkError(.usage, "\(sink) cannot be one of two sinks")
    }
  }

  /// What the run is asked for, for a sink that waits for another process.
  @usableFromInline
  var runControl: RunControl {
    let control = control
    return RunControl(
      asked: {
        switch EngineControl.Request(rawValue: control.current) {
        case .abort: .abort
        // All that was wanted has come: a consumer may still come for it.
        case .stop: control.isServed ? .go : .stop
        case .run, nil: .go
        }
      },
      stop: { control.ask(.stop) })
  }
}
