/// Somebody else could change a file that this process is to obey.
package struct TrustError: Error, Equatable, Sendable {
  /// Which path and who, as a sentence without a full stop.
  package let what: String
  /// The line that mends it.
  package let remedy: String
}
