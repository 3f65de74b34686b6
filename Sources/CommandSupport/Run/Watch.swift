/// The main thread's work while others move bytes: signals, interval lines, the end.
package struct Watch {
  /// How often the end of the work and its events are looked at, in seconds.
  private static let step = 0.02

  /// Seconds between interval lines; nil has none.
  package var interval: Double?
  package let began = monotonicSeconds()

  package init(interval: Double?) { self.interval = interval }

  package var elapsed: Double { monotonicSeconds() - began }

  /// Runs until `isFinished`. `look` is called every step, `tick` at the end of each interval and
  /// once at the end for the rest; both with seconds since the start.
  package func run(
    _ signals: borrowing Signals, isFinished: () -> Bool, look: (Double) -> Void,
    tick: (_ start: Double, _ end: Double) -> Void, signal: (Signals.Signal) -> Void
  ) {
    var last = 0.0
    var due = interval ?? .infinity
    while !isFinished() {
      if let caught = signals.wait(seconds: min(Watch.step, max(0, due - elapsed))) {
        signal(caught)
      }
      let now = elapsed
      look(now)
      guard now >= due, let interval else { continue }
      tick(last, now)
      last = now
      // A busy machine may have missed whole intervals: one line covers them.
      while due <= now { due += interval }
    }
    let now = elapsed
    look(now)
    if interval != nil && now - last > 0.01 { tick(last, now) }
  }
}
