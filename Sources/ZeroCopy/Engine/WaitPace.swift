/// How long a copying engine waits for a batch: as told, but no longer than its buffers last.
///
/// One completion may fill many buffers, so that counting completions does not tell when the last
/// is taken. A wait that goes on beyond that is time in which the sender's window is shut: with an
/// area of 1 MiB it took two thirds of the rate. So a wait that found an eighth of its buffers left
/// or less halves the next ones, and one that left half of them lengthens them by a quarter again.
@frozen @usableFromInline
package struct WaitPace: Equatable, Sendable {
  /// Microseconds to wait, and the most that may be. 0 is no wait for a batch at all.
  package private(set) var microseconds: UInt32
  package let most: UInt32

  package init(most: UInt32) {
    microseconds = most
    self.most = most
  }

  /// A wait began with `offered` buffers in the ring and ended with `left`.
  @usableFromInline
  package mutating func ended(left: UInt32, of offered: UInt32) {
    if left <= offered / 8 {
      microseconds = max(min(1, most), microseconds / 2)
    } else if microseconds < most, left >= offered / 2 {
      microseconds = min(most, microseconds + microseconds / 4 + 1)
    }
  }
}
