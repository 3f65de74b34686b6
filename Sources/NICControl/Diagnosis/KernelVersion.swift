/// A release of Linux, as far as features go by it.
public struct KernelVersion: Comparable, Sendable, CustomStringConvertible {
  public let major: Int
  public let minor: Int

  public init(_ major: Int, _ minor: Int) {
    self.major = major
    self.minor = minor
  }

  /// Reads what uname(2) gives ("7.2.13+deb14-amd64"); nil when it does not start with two numbers.
  public init?(release: String) {
    let parts = release.split(separator: ".", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count >= 2, let major = Int(parts[0]),
      let minor = Int(parts[1].prefix { $0.isASCII && $0.isNumber })
    else { return nil }
    self.init(major, minor)
  }

  public static func < (one: KernelVersion, other: KernelVersion) -> Bool {
    (one.major, one.minor) < (other.major, other.minor)
  }

  public var description: String { "\(major).\(minor)" }
}

/// What a kernel's zero-copy receive can do beyond its first release.
public enum ZeroCopyFeature: CaseIterable, Sendable {
  /// IORING_REGISTER_ZCRX_IFQ itself.
  case interfaceQueues
  /// An area in device memory.
  case dmabufAreas
  /// Receive buffers of more than one page.
  case largeBuffers
  /// An instance without a NIC, which copies.
  case deviceless
  /// Areas of more than 1 GiB.
  case largeAreas

  /// The first release that has it.
  public var since: KernelVersion {
    switch self {
    case .interfaceQueues: KernelVersion(6, 15)
    case .dmabufAreas: KernelVersion(6, 16)
    case .largeBuffers: KernelVersion(7, 0)
    case .deviceless: KernelVersion(7, 1)
    case .largeAreas: KernelVersion(7, 2)
    }
  }
}
