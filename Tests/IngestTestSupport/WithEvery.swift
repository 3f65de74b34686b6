package import Testing

/// Runs `body` for every value. What it throws is recorded as an issue that names the value, and
/// the rest is skipped: the first failing case is the one to look at.
package func withEvery<Values: Sequence>(
  _ label: String, in values: Values, sourceLocation: SourceLocation = #_sourceLocation,
  _ body: (Values.Element) throws -> Void
) {
  for value in values {
    do {
      try body(value)
    } catch {
      Issue.record("\(error), with \(label) = \(value)", sourceLocation: sourceLocation)
      return
    }
  }
}
