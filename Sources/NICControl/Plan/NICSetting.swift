/// A setting of a NIC that zero-copy receive needs otherwise than it usually is.
///
/// Values are lists of numbers, so that all settings can be noted, compared and put back alike:
/// four counts for the channels (receive, transmit, combined, other), 0 or 1 for a feature, the
/// kernel's number for the split (0 unknown, 1 off, 2 on), bytes for its threshold, entries for a
/// ring, and the whole indirection table.
public enum NICSetting: Hashable, Sendable {
  case channels
  /// By the kernel's name: "rx-ntuple-filter".
  case feature(String)
  case tcpDataSplit
  case headerSplitThreshold
  case receiveRing
  case indirection

  public typealias Value = [UInt32]

  /// Settings stand on each other: they are made in this order, and undone in the reverse.
  var rank: Int {
    switch self {
    case .channels: 0
    case .feature: 1
    case .tcpDataSplit: 2
    case .headerSplitThreshold: 3
    case .receiveRing: 4
    case .indirection: 5
    }
  }

  /// The setting by ethtool's words.
  public var name: String {
    switch self {
    case .channels: "channels"
    case .feature(let name): name
    case .tcpDataSplit: "tcp-data-split"
    case .headerSplitThreshold: "hds-thresh"
    case .receiveRing: "rx ring"
    case .indirection: "indirection table"
    }
  }

  /// A value for people.
  public func text(_ value: Value) -> String {
    switch self {
    case .channels:
      let names = ["rx", "tx", "combined", "other"]
      let parts = zip(names, value).filter { $0.1 != 0 }.map { "\($0.0) \($0.1)" }
      return parts.joined(separator: " ")
    case .feature: return value == [0] ? "off" : "on"
    case .tcpDataSplit:
      switch value {
      case [2]: return "on"
      case [1]: return "off"
      default: return "unknown"
      }
    case .headerSplitThreshold: return "\(value.first ?? 0) bytes"
    case .receiveRing: return "\(value.first ?? 0) entries"
    case .indirection: return IndirectionTable.text(value)
    }
  }
}

extension NICSetting: Comparable {
  public static func < (one: NICSetting, other: NICSetting) -> Bool {
    (one.rank, one.name) < (other.rank, other.name)
  }
}

extension NICSetting: Codable {
  /// As one word: "channels", "feature:rx-ntuple-filter".
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let word = try container.decode(String.self)
    guard let setting = NICSetting(word: word) else {
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "no setting is called \(word)")
    }
    self = setting
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(word)
  }

  /// The setting as one word: "hds-thresh", "feature:rx-gro-hw".
  public var word: String {
    switch self {
    case .channels: "channels"
    case .feature(let name): "feature:" + name
    case .tcpDataSplit: "tcp-data-split"
    case .headerSplitThreshold: "hds-thresh"
    case .receiveRing: "rx-ring"
    case .indirection: "indirection"
    }
  }

  init?(word: String) {
    switch word {
    case "channels": self = .channels
    case "tcp-data-split": self = .tcpDataSplit
    case "hds-thresh": self = .headerSplitThreshold
    case "rx-ring": self = .receiveRing
    case "indirection": self = .indirection
    default:
      guard word.hasPrefix("feature:") else { return nil }
      self = .feature(String(word.dropFirst(8)))
    }
  }
}
