/// Offloads of an interface by the kernel's names (`ethtool -k` shows some of them by older
/// names): "rx-ntuple-filter", "rx-gro-hw", "rx-hashing", …
public struct Features: Equatable, Sendable {
  /// Can be switched on and off.
  public var changeable: Set<String>
  /// Was asked for; something else may stand in the way.
  public var wanted: Set<String>
  public var active: Set<String>
  /// Can never be changed.
  public var fixed: Set<String>
}

private enum FeaturesNumber {
  static let get: UInt8 = 11
  static let hardware: UInt16 = 2
  static let wanted: UInt16 = 3
  static let active: UInt16 = 4
  static let noChange: UInt16 = 5
}

extension Features: AttributeDecodable {
  init(_ attributes: Attributes) throws(MalformedMessage) {
    changeable = try Features.names(attributes, FeaturesNumber.hardware)
    wanted = try Features.names(attributes, FeaturesNumber.wanted)
    active = try Features.names(attributes, FeaturesNumber.active)
    fixed = try Features.names(attributes, FeaturesNumber.noChange)
  }

  private static func names(
    _ attributes: Attributes, _ number: UInt16
  ) throws(MalformedMessage) -> Set<String> {
    guard let nest = try attributes.nested(number) else { return [] }
    return try Bitset(nest).set
  }
}

extension NICAccess {
  /// Linux 5.7.
  public func features(of link: Link) throws(NetlinkError) -> Features {
    try ethtool().get(
      FeaturesNumber.get, "read the features of \(link.name)", Ethtool.header(link))
  }
}
