import Glibc

/// A network such as 10.0.0.0/8 or 2001:db8::/32, or one address.
public struct PeerPrefix: Hashable, Sendable, CustomStringConvertible {
  let address: PeerAddress
  /// Of the 128 bits of the form that both families share.
  private let length: Int

  /// Reads `ADDRESS[/LENGTH]`. Errors: which part is wrong, and what it takes.
  public init(_ text: String) throws(PeerPrefixError) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    let written = String(parts[0])
    guard !written.contains("%") else {
      throw PeerPrefixError(
        text, "a network has no interface in it",
        "leave %… out, and name the interface by --ifname")
    }
    guard let address = PeerPrefix.read(written) else {
      throw PeerPrefixError(
        text, "\"\(written)\" is no address",
        "expected four numbers as in 192.0.2.0/24, or IPv6 as in 2001:db8::/32; names are not "
          + "looked up")
    }
    // A mapped one may be written with the length that it has as IPv6.
    let isDotted = !written.contains(":")
    let most = isDotted ? 32 : 128
    var length = most
    if parts.count == 2 {
      guard let number = PeerPrefix.number(parts[1]), number <= most else {
        throw PeerPrefixError(
          text, "\"\(parts[1])\" is no length of a prefix",
          "\(isDotted ? "an IPv4" : "an IPv6") prefix has 0 to \(most) bits")
      }
      length = number
    }
    self.length = isDotted ? 96 + length : length
    self.address = address
    let network = PeerPrefix.masked(address, self.length)
    guard network == address else {
      throw PeerPrefixError(
        text, "\(written) has bits set beyond the first \(length)",
        "\(network.text)/\(length) is that network, \(written)/\(most) that one address")
    }
  }

  /// Whether an address is in it. An IPv6 prefix has no IPv4 address, not even ::/0.
  public func contains(_ peer: PeerAddress) -> Bool {
    guard peer.isIPv4 == address.isIPv4 else { return false }
    let network = PeerPrefix.masked(peer, length)
    return network.high == address.high && network.low == address.low
  }

  public var description: String {
    "\(address.text)/\(address.isIPv4 ? length - 96 : length)"
  }

  private static func masked(_ address: PeerAddress, _ length: Int) -> PeerAddress {
    // A shift by the whole width is 0 in Swift.
    let high = UInt64.max << UInt64(max(0, 64 - length))
    let low = UInt64.max << UInt64(min(64, 128 - length))
    return PeerAddress(high: address.high & high, low: address.low & low)
  }

  private static func read(_ text: String) -> PeerAddress? {
    var words: (UInt64, UInt64) = (0, 0)
    let isIPv6 = text.contains(":")
    let isRead = unsafe withUnsafeMutableBytes(of: &words) { bytes in
      unsafe inet_pton(isIPv6 ? AF_INET6 : AF_INET, text, bytes.baseAddress) == 1
    }
    guard isRead else { return nil }
    let first = UInt64(bigEndian: words.0)
    return isIPv6
      ? PeerAddress(high: first, low: UInt64(bigEndian: words.1))
      : PeerAddress(high: 0, low: 0xffff << 32 | first >> 32)
  }

  /// Digits alone: no sign, no blank.
  private static func number(_ text: some StringProtocol) -> Int? {
    guard !text.isEmpty, text.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }) else { return nil }
    return Int(text)
  }
}

/// What is wrong with a network.
public struct PeerPrefixError: Error, Equatable, Sendable {
  public let text: String
  public let problem: String
  public let remedy: String

  init(_ text: String, _ problem: String, _ remedy: String) {
    self.text = text
    self.problem = problem
    self.remedy = remedy
  }
}
