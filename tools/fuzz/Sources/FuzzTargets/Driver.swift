import CFuzzer
import Glibc

/// Gives a target the inputs that libFuzzer makes, and looks after the heap.
public enum Driver {
  /// Before the first input, and not changed after.
  nonisolated(unsafe) private static var target: Target?
  nonisolated(unsafe) private static var inputs: UInt64 = 0

  /// Every so many inputs one is fed again and again: what it leaves allocated adds up then.
  private static let checkEvery: UInt64 = 2048
  /// More addresses than an input of some KiB needs, libFuzzer's own included: an allocation by a
  /// length that was believed fails there.
  private static let addresses = 3 << 30

  /// Returns libFuzzer's exit code.
  public static func run(_ target: Target, arguments: [String]) -> Int32 {
    unsafe Driver.target = target
    guard cfuzzer_limit(addresses) == 0 else { return 1 }
    var words: [UnsafeMutablePointer<CChar>?] = unsafe arguments.map { unsafe strdup($0) } + [nil]
    return unsafe words.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress else { return 1 }
      return unsafe cfuzzer_run(Int32(arguments.count), base) { data, size in
        unsafe Driver.take(Array(UnsafeBufferPointer(start: data, count: size)))
        return 0
      }
    }
  }

  private static func take(_ input: [UInt8]) {
    guard let target = unsafe target else { return }
    target.run(input)
    unsafe inputs += 1
    if unsafe inputs % checkEvery == 0 { checkGrowth(target, input) }
  }

  /// The same input must end with as much memory as it began with.
  private static func checkGrowth(_ target: Target, _ input: [UInt8]) {
    // What is made once, and freed memory that the C library keeps for the next, does not count.
    for _ in 0..<16 { target.run(input) }
    for times in [32, 128] {
      let before = cfuzzer_allocated()
      for _ in 0..<times { target.run(input) }
      guard cfuzzer_allocated() >= before + 16 * times else { return }
    }
    finding("growth: 128 times the same input left more than 2 KiB allocated")
  }
}

/// Ends the process with a sentence; libFuzzer keeps the input.
func finding(_ what: String) -> Never { fatalError("finding: \(what)") }

/// What must hold for whatever comes.
func require(_ condition: Bool, _ what: @autoclosure () -> String) {
  if !condition { finding(what()) }
}
