import CIngestKernel
import Glibc
public import RingCore

/// A host's address in the form that IPv6 has for both families: 192.0.2.1 is ::ffff:192.0.2.1,
/// which is also how a socket for both sees it (RFC 4291, 2.5.5.2).
public struct PeerAddress: Hashable, BitwiseCopyable, Sendable {
  /// The 128 bits, in the order that they are written in.
  let high: UInt64
  let low: UInt64
  /// The interface of a link-local address, which is another host's on another link; else 0.
  let scope: UInt32

  init(high: UInt64, low: UInt64, scope: UInt32 = 0) {
    self.high = high
    self.low = low
    self.scope = scope
  }

  public init(_ endpoint: Endpoint) {
    var raw = endpoint.raw
    let isIPv6 = raw.family == UInt16(AF_INET6)
    let words = unsafe withUnsafeBytes(of: &raw.address) { bytes in
      unsafe (
        bytes.loadUnaligned(as: UInt64.self),
        bytes.loadUnaligned(
          fromByteOffset: 8, as: UInt64.self)
      )
    }
    let first = UInt64(bigEndian: words.0)
    if isIPv6 {
      let isLinkLocal = first >> 54 == 0x3fa
      self.init(
        high: first, low: UInt64(bigEndian: words.1), scope: isLinkLocal ? endpoint.raw.scope : 0)
    } else {
      self.init(high: 0, low: 0xffff << 32 | first >> 32)
    }
  }

  var isIPv4: Bool { high == 0 && low >> 32 == 0xffff }

  /// As people write it, without a scope.
  var text: String {
    let isIPv4 = isIPv4
    var words = (high.bigEndian, low.bigEndian)
    return unsafe withUnsafeBytes(of: &words) { bytes in
      unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { text in
        let start = unsafe bytes.baseAddress.unsafelyUnwrapped + (isIPv4 ? 12 : 0)
        let family = isIPv4 ? AF_INET : AF_INET6
        guard unsafe inet_ntop(family, start, text.baseAddress, 64) != nil else { return "?" }
        return unsafe String(cString: text.baseAddress.unsafelyUnwrapped)
      }
    }
  }
}
