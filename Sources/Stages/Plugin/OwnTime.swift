import CIngestKernel
import Glibc

/// Time that this process had: a stage is not late because ingest itself stood still (SIGSTOP, ^Z,
/// a frozen cgroup or virtual machine), whoever else went on meanwhile.
enum OwnTime {
  /// Waits until a descriptor can be read; what poll(2) answers.
  ///
  /// - Cost: a poll(2), and one more for each eighth of the time that passes.
  static func poll(_ descriptor: Int32, milliseconds: Int) -> Int32 {
    let slice = min(1000, max(1, milliseconds / 8))
    var left = milliseconds
    while true {
      var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      let part = min(slice, left)
      let began = ik_clock_ns()
      let ready = unsafe Glibc.poll(&wait, 1, Int32(clamping: part))
      if ready > 0 { return ready }
      if ready < 0 && errno != EINTR { return ready }
      let took = Int((ik_clock_ns() - began) / 1_000_000)
      left -= counted(took, of: part)
      if left <= 0 { return 0 }
    }
  }

  /// How much of a wait counts that was to take `part` milliseconds and took `took`: none, where it
  /// was that late.
  static func counted(_ took: Int, of part: Int) -> Int { took > 2 * part + 100 ? 0 : took }
}
