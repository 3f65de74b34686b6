import CIngestKernel
import Glibc
package import Ingest

/// Signals as something to wait for, so that no handler runs amid other work.
///
/// Made before any thread is started: threads inherit that the signals are blocked.
package struct Signals: ~Copyable {
  package enum Signal: Sendable { case stop, dump }

  /// A signal by number, and whether a process sent it to this one alone.
  package struct Arrival {
    package var number: Int32
    package var wasSent: Bool
  }

  private let descriptor: Int32

  /// The kernel calls are `rt_sigprocmask` and `signalfd`.
  package init() throws(IngestError) {
    let descriptor = ik_signal_descriptor()
    guard descriptor >= 0 else {
      throw IngestError(.failed, "cannot watch for signals: \(errorText(-descriptor))")
    }
    self.descriptor = descriptor
  }

  deinit { close(descriptor) }

  /// The next signal, or nil when `seconds` have passed without one.
  package func wait(seconds: Double) -> Signal? {
    switch arrival(seconds: seconds)?.number {
    case SIGINT, SIGTERM: .stop
    case SIGUSR1: .dump
    default: nil
    }
  }

  /// The same for who hands signals on.
  package func arrival(seconds: Double) -> Arrival? {
    let milliseconds = Int32((max(0, min(seconds, 60)) * 1000).rounded(.up))
    var wasSent = false
    let number = unsafe ik_signal_wait(descriptor, milliseconds, &wasSent)
    return number > 0 ? Arrival(number: number, wasSent: wasSent) : nil
  }
}

/// Seconds on a clock that only goes forward.
package func monotonicSeconds() -> Double { Double(ik_clock_ns()) / 1e9 }

/// CPU seconds of this process so far, all threads.
package func processCPUSeconds() -> Double { Double(ik_process_cpu_ns()) / 1e9 }
