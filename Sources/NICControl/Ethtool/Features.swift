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
  static let set: UInt8 = 12
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

// Changes.
extension NICAccess {
  /// Switches an offload by the kernel's name for it (`ethtool -K`). The kernel may leave it as it
  /// is without an error, where another setting forbids it: read it back. Linux 5.7; needs
  /// CAP_NET_ADMIN.
  public func setFeature(
    _ name: String, _ isOn: Bool, of link: Link
  ) throws(NetlinkError) {
    try ethtool().change(
      FeaturesNumber.set, "switch \(name) of \(link.name) \(isOn ? "on" : "off")"
    ) {
      Ethtool.header(link)(&$0)
      $0.nest(FeaturesNumber.wanted) { Bitset.write(name, isOn, &$0) }
    }
  }
}
