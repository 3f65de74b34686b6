/// The ethtool family (include/uapi/linux/ethtool_netlink_generated.h): every request starts with
/// a nest that names the interface.
enum Ethtool {
  static let header: UInt16 = 1
  private static let headerIndex: UInt16 = 1

  static func header(_ link: Link) -> (inout AttributeWriter) -> Void {
    { $0.nest(header) { $0.add(headerIndex, link.index) } }
  }
}
