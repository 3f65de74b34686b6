import CIngestKernel
import Glibc
public import RingCore

extension Endpoint: CustomStringConvertible {
  /// `192.0.2.1:5301` or `[2001:db8::1]:5301`; an IPv4 peer of an IPv6 socket is shown as IPv4.
  public var description: String {
    raw.family == UInt16(AF_INET6) && !isMappedIPv4
      ? "[\(address)]:\(raw.port)" : "\(address):\(raw.port)"
  }

  /// The address alone.
  public var address: String {
    var raw = raw
    let mapped = isMappedIPv4
    let family = raw.family == UInt16(AF_INET6) && !mapped ? AF_INET6 : AF_INET
    return unsafe withUnsafeBytes(of: &raw.address) { bytes in
      unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { text in
        let start = unsafe bytes.baseAddress! + (mapped ? 12 : 0)
        guard unsafe inet_ntop(family, start, text.baseAddress!, 64) != nil else { return "?" }
        return unsafe String(cString: text.baseAddress!)
      }
    }
  }

  /// ::ffff:a.b.c.d, which is how a dual-stack listener sees IPv4 peers (RFC 4291, 2.5.5.2).
  private var isMappedIPv4: Bool {
    guard raw.family == UInt16(AF_INET6) else { return false }
    var raw = raw
    return unsafe withUnsafeBytes(of: &raw.address) { bytes in
      unsafe bytes.prefix(10).allSatisfy { $0 == 0 } && bytes[10] == 0xff && bytes[11] == 0xff
    }
  }
}
