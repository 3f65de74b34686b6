/// The driver behind an interface (`ethtool -i`).
public struct DriverInfo: Equatable, Sendable {
  /// "bnxt_en", "mlx5_core", "veth", …
  public var driver: String
  public var version: String
  /// Empty where the driver does not tell.
  public var firmware: String
  /// Where the device is: "0000:3b:00.0".
  public var bus: String
}

/// struct ethtool_drvinfo of include/uapi/linux/ethtool.h.
private enum DriverInfoLayout {
  static let command: UInt32 = 0x03  // ETHTOOL_GDRVINFO
  static let size = 196
  static let textSize = 32
  static let driver = 4
  static let version = 36
  static let firmware = 68
  static let bus = 100
}

extension DriverInfo {
  init(structure: [UInt8]) {
    func text(_ offset: Int) -> String {
      let field = structure.dropFirst(offset).prefix(DriverInfoLayout.textSize)
      return String(decoding: field.prefix { $0 != 0 }, as: UTF8.self)
    }
    driver = text(DriverInfoLayout.driver)
    version = text(DriverInfoLayout.version)
    firmware = text(DriverInfoLayout.firmware)
    bus = text(DriverInfoLayout.bus)
  }
}

extension NICAccess {
  /// The error is EOPNOTSUPP for interfaces without a driver, such as lo.
  public func driver(of link: Link) throws(NetlinkError) -> DriverInfo {
    var command = littleEndianBytes(of: DriverInfoLayout.command)
    command += [UInt8](repeating: 0, count: DriverInfoLayout.size - command.count)
    try unsafe ioctl.call("read the driver of \(link.name)", link, unsafeCommand: &command)
    return DriverInfo(structure: command)
  }
}
