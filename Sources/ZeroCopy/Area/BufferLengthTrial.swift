import Glibc

/// Finds the longest buffers that kernel, driver and memory agree on, by trying: the kernel says
/// neither what a driver takes nor how an IOMMU has laid memory out.
///
/// Longer buffers mean fewer of them to hand around, and fewer completions where the NIC fills them
/// (larger packets, or several coalesced into one).
public struct BufferLengthTrial: Equatable, Sendable {
  /// Every length that was tried, in order.
  public let attempts: [Attempt]
  /// The length that was taken; nil where none was.
  public let chosen: Int?

  public struct Attempt: Equatable, Sendable {
    public let length: Int
    /// 0, or what the kernel answered.
    public let errno: Int32
    /// Why it was refused; nil where it was taken.
    public let why: String?
  }

  /// Tried in this order where none is given.
  public static let lengths = [64 << 10, 32 << 10, 16 << 10, 8 << 10]

  /// The shortest buffer: what every kernel and driver takes.
  public static let pageSize = Int(getpagesize())

  /// The lengths to try: those that leave an area at least 16 buffers, and a page in any case; or
  /// only the one that the user fixed.
  public static func candidates(
    areaBytes: Int = .max, fixed: Int? = nil, page: Int = pageSize
  ) -> [Int] {
    if let fixed { return [fixed] }
    return lengths.filter { $0 > page && $0 <= areaBytes / 16 } + [page]
  }

  /// Calls `attempt` with each length until one is taken (0), or the answer is one that no other
  /// length would change.
  ///
  /// `contiguousBytes` is the memory's (``AreaMemoryKind/contiguousBytes``), for the reason given.
  public static func run<Failure: Error>(
    _ candidates: [Int], contiguousBytes: Int, page: Int = pageSize,
    _ attempt: (Int) throws(Failure) -> Int32
  ) throws(Failure) -> BufferLengthTrial {
    var attempts: [Attempt] = []
    for length in candidates {
      let errno = try attempt(length)
      let why =
        errno == 0
        ? nil : reason(errno, length: length, contiguousBytes: contiguousBytes, page: page)
      attempts.append(Attempt(length: length, errno: errno, why: why))
      if errno == 0 { return BufferLengthTrial(attempts: attempts, chosen: length) }
      // A page is what every driver takes: what is refused then is not the length.
      guard depends(errno), length > page else { break }
    }
    return BufferLengthTrial(attempts: attempts, chosen: nil)
  }

  /// Whether another length may fare better. What kernel, driver or memory have against a length
  /// comes as one of these; no right, no device, a queue that is taken or want of memory does not.
  static func depends(_ errno: Int32) -> Bool { [EINVAL, ERANGE, EOPNOTSUPP].contains(errno) }

  private static func reason(
    _ errno: Int32, length: Int, contiguousBytes: Int, page: Int
  ) -> String {
    let text = unsafe String(cString: strerror(errno))
    guard length > page else { return text }
    switch errno {
    case ERANGE where contiguousBytes < length:
      return
        "memory that is contiguous by \(sizeText(contiguousBytes)) only cannot hold it, or the "
        + "driver takes no such length; huge pages hold up to 2 MiB"
    case ERANGE: return "the driver takes no such length"
    case EOPNOTSUPP: return "the driver takes buffers of a page only"
    case EINVAL: return "the driver refused it, or the kernel is older than 7.0"
    default: return text
    }
  }

  /// Why nothing longer was taken, in one line; nil where the first length was.
  public var remark: String? {
    let refused = attempts.filter { $0.errno != 0 }
    guard let chosen, !refused.isEmpty else { return nil }
    // Lengths that were refused for the same reason stand together.
    var groups: [(lengths: [Int], why: String)] = []
    for attempt in refused {
      let why = attempt.why ?? ""
      if groups.last?.why == why {
        groups[groups.count - 1].lengths.append(attempt.length)
      } else {
        groups.append(([attempt.length], why))
      }
    }
    let reasons = groups.map { group in
      "\(group.lengths.map { sizeText($0) }.joined(separator: ", ")): \(group.why)"
    }
    return "buffers of \(sizeText(chosen)), for longer ones were refused: "
      + reasons.joined(separator: "; ")
  }
}
