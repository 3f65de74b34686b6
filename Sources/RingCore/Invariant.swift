/// Ends the process with `message` when `condition` is false, in release builds too.
///
/// `precondition` loses its message under `-O`, and a statically linked binary prints no
/// backtrace; the sentence given here is then all there is to go by. Use it for programmer errors
/// only: what the network, the kernel or a user can cause is an error, not an invariant.
///
/// - Cost: one compare and a branch never taken.
@inlinable @inline(__always)
public func invariant(_ condition: Bool, _ message: @autoclosure () -> StaticString) {
  if !condition { invariantFailed(message()) }
}

@inline(never) @usableFromInline
func invariantFailed(_ message: StaticString) -> Never {
  fatalError("invariant violated: \(message)")
}
