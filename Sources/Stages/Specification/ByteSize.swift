/// Sizes as people write them: a whole number, with K, M or G for powers of 1024.
public enum ByteSize {
  /// The bytes of `64K`, nil when that is no size.
  public static func bytes(_ text: String) -> Int? {
    var digits = text[...]
    var shift = 0
    switch digits.last {
    case "K", "k": shift = 10
    case "M", "m": shift = 20
    case "G", "g": shift = 30
    default: break
    }
    if shift > 0 { digits.removeLast() }
    guard !digits.isEmpty, digits.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }),
      let number = Int(digits), number <= Int.max >> shift
    else { return nil }
    return number << shift
  }

  /// The shortest spelling that ``bytes(_:)`` reads back as the same number.
  public static func spelled(_ bytes: Int) -> String {
    for (shift, suffix) in [(30, "G"), (20, "M"), (10, "K")]
    where bytes > 0 && bytes & (1 << shift - 1) == 0 {
      return "\(bytes >> shift)\(suffix)"
    }
    return "\(bytes)"
  }
}
