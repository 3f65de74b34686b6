import Glibc

/// Whether a receiver is started anew after it ended.
struct RebindPolicy {
  /// How a receiver ended.
  struct End: Equatable {
    var code: Int32 = 0
    /// It listened, so that what was in the way of a start is gone.
    var hadStarted = false
    /// Its interface went away.
    var isLost = false
    /// Somebody wanted it to end.
    var isStopped = false

    mutating func note(_ word: SupervisorWord) {
      switch word {
      case .listening: hadStarted = true
      case .lost: isLost = true
      }
    }

    /// What waitpid(2) says; a signal is what shells make of it.
    mutating func note(status: Int32) {
      let signal = status & 0x7f
      code = signal == 0 ? status >> 8 & 0xff : 128 + signal
    }
  }

  enum Next: Equatable {
    case end(Int32)
    /// For the interface, until then.
    case wait(until: Double)
  }

  /// Seconds from the loss until it is given up.
  let patience: Double
  private var deadline: Double?

  init(patience: Double) { self.patience = patience }

  /// - Parameter now: seconds on any clock that only goes forward.
  mutating func next(_ end: End, now: Double) -> Next {
    if end.hadStarted { deadline = nil }
    if end.isStopped { return .end(end.code) }
    if end.isLost {
      deadline = now + patience
    } else if end.code == 0 {
      return .end(0)
    }
    // An interface that is back may still lack its address or its queues: that is tried again.
    guard let deadline, now < deadline else { return .end(end.code) }
    return .wait(until: deadline)
  }
}
