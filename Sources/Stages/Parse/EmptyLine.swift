/// Finds the first empty line: what ends the head of a message, and the trailers of a chunked one.
/// A line ends with a newline, which a carriage return may precede.
@frozen @usableFromInline
struct EmptyLine: BitwiseCopyable, Sendable {
  /// Where in a line the next byte stands.
  @usableFromInline
  enum Place: UInt8, BitwiseCopyable, Sendable { case start, returned, inside }

  @usableFromInline var place: Place

  @inlinable
  init() { place = .start }

  /// Takes the next byte; true when it ends an empty line.
  mutating func ends(with byte: UInt8) -> Bool {
    switch (byte, place) {
    case (10, .inside): place = .start
    case (10, _): return true
    case (13, .start): place = .returned
    default: place = .inside
    }
    return false
  }
}
