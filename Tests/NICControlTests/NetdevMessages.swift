@testable import NICControl

/// Replies of the netdev family.
enum NetdevMessages {
  static func attributes(_ fill: (inout AttributeWriter) -> Void) -> [UInt8] {
    var writer = AttributeWriter()
    fill(&writer)
    return writer.bytes
  }

  static func queue(
    _ number: UInt32, direction: UInt32 = 0, _ fill: (inout AttributeWriter) -> Void = { _ in }
  ) -> [UInt8] {
    attributes {
      $0.add(1, number)
      $0.add(3, direction)
      $0.add(2, UInt32(7))
      fill(&$0)
    }
  }

  /// Bound to io_uring; the length is an attribute of 4 bytes, or of 8.
  static let ioUringQueue = queue(3) {
    $0.add(4, UInt32(8200))
    $0.nest(6) { $0.add(1, UInt32(32_768)) }
  }
  static let wideIOUringQueue = queue(3) { $0.nest(6) { $0.add(1, UInt64(1) << 33) } }
  static let leasedQueue = queue(2) {
    $0.nest(8) {
      $0.nest(2) {
        $0.add(1, UInt32(1))
        $0.add(3, UInt32(0))
      }
      $0.add(1, UInt32(12))
      $0.add(3, UInt32(bitPattern: -1))
    }
  }

  static let napi = attributes {
    $0.add(1, UInt32(7))
    $0.add(2, UInt32(8200))
    $0.add(3, UInt32(31))
    $0.add(4, UInt32(4711))
    $0.add(5, UInt32(2))
    $0.add(6, UInt32(20_000))
    $0.add(7, UInt64(20_000_000_000))
    $0.add(8, UInt32(1))
  }

  static let device = attributes {
    $0.add(1, UInt32(7))
    $0.add(3, UInt64(0x33))
    $0.add(4, UInt32(1))
    $0.add(5, UInt64(3))
    $0.add(6, UInt64(1))
  }

  static let pagePool = attributes {
    $0.add(1, UInt32(16))
    $0.add(2, UInt32(7))
    $0.add(3, UInt32(8200))
    $0.add(4, UInt32(512))
    $0.add(5, UInt64(512) << 12)
    $0.add(6, UInt32(99))
    $0.nest(8) { _ in }
  }

  static let pagePoolStatistics = attributes {
    $0.nest(1) {
      $0.add(1, UInt32(16))
      $0.add(2, UInt32(7))
    }
    for number in UInt16(8)...18 { $0.add(number, UInt32(number) * 100) }
  }

  static let queueStatistics = attributes {
    $0.add(1, UInt32(7))
    $0.add(2, UInt32(0))
    $0.add(3, UInt32(3))
    $0.add(8, UInt32(1000))
    $0.add(9, UInt64(1) << 40)
    $0.add(12, UInt32(5))
    $0.add(13, UInt32(9))
  }
}
