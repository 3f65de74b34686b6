/// How a sink that waits for another process learns that the run is to end, and ends it. The
/// closures are called from the receiving thread: while it waits, at most once a batch.
public struct RunControl: Sendable {
  public enum Request: Sendable {
    /// None, or only to finish what has come.
    case go
    /// Somebody asked for an end: wait for nobody who is not there.
    case stop
    /// End now; what is in flight is lost.
    case abort
  }

  let asked: @Sendable () -> Request
  let stop: @Sendable () -> Void

  /// - Parameters:
  ///   - asked: what was asked for last.
  ///   - stop: asks for the run's end.
  public init(asked: @escaping @Sendable () -> Request, stop: @escaping @Sendable () -> Void) {
    self.asked = asked
    self.stop = stop
  }

  /// A run that goes on until its owner ends it.
  public static var endless: RunControl { RunControl(asked: { .go }, stop: {}) }
}
