/// The netdev family (include/uapi/linux/netdev.h, Documentation/netlink/specs/netdev.yaml).
enum Netdev {
  static let getDevice: UInt8 = 1
  static let getPagePool: UInt8 = 5
  static let getPagePoolStatistics: UInt8 = 9
  static let getQueue: UInt8 = 10
  static let getNAPI: UInt8 = 11
  static let getQueueStatistics: UInt8 = 12
  static let setNAPI: UInt8 = 14
}
